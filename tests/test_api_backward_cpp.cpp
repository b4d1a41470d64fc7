// hnorm.hpp's gradients and PyTorch's names: what the C functions say, and sentences as exceptions.
#include "gradients.h"

#include <hnorm/hnorm.hpp>

#include <type_traits>

using namespace api;

namespace {

// What the call throws.
template <typename Call>
std::string thrown(const Call &call) {
    try {
        call();
    } catch (const hnorm::Error &error) {
        REQUIRE(error.status() == HNORM_INVALID_ARGUMENT);
        return error.what();
    }
    return "nothing was thrown";
}

template <typename Call>
void refused(const Call &call, const std::string &words) {
    const std::string what = thrown(call);
    INFO(what << ", wanted: " << words);
    REQUIRE(what.find(words) != std::string::npos);
}

static_assert(std::is_base_of_v<hnorm::BatchNorm, hnorm::BatchNorm2d>, "one class under PyTorch's names");
static_assert(std::is_nothrow_move_constructible_v<hnorm::InstanceNorm1d>, "movable, as every layer");

}  // namespace

TEST_CASE("the C++ functions give the C functions' gradients") {
    for (const hnorm::Group group : {hnorm::Group::batch, hnorm::Group::instance}) {
        for (const bool per_sample : {false, true}) {
            BackwardCall c({4, 3, 5, 5}, static_cast<hnorm_group>(group));
            const hnorm::Tensor x(c.x), dy(c.dy), dx(c.dx);
            const size_t gradients = per_sample ? 12 : 3;
            const hnorm::Affine affine = {{c.gamma.data(), gradients}, {c.beta.data(), gradients}};
            c.affine.stride_n = per_sample ? 3 : 0;
            using Function = BackwardCall;
            for (const auto call : {&Function::backward, &Function::normalize_backward}) {
                c.clear();
                REQUIRE((c.*call)() == HNORM_OK);
                const Elements expected = c.dx_values();
                std::vector<float> dgamma(gradients), dbeta(gradients);
                c.in.y.fill(kSentinel);
                if (call == &Function::backward)
                    hnorm::backward(x, dy, group, c.mean, c.variance, affine, c.eps, dx, dgamma, dbeta);
                else
                    hnorm::normalize_backward(x, dy, group, c.mean, c.variance, affine, c.eps, dx, dgamma, dbeta);
                REQUIRE(same_bits(c.dx_values(), expected));
                REQUIRE(std::equal(dgamma.begin(), dgamma.end(), c.dgamma.begin()));
                REQUIRE(std::equal(dbeta.begin(), dbeta.end(), c.dbeta.begin()));
                hnorm::normalize_backward(std::nullopt, dy, group, c.mean, c.variance, affine, c.eps, std::nullopt,
                                          nullptr, dbeta);
            }
            if (per_sample) continue;
            REQUIRE(c.reduce() == HNORM_OK);
            const hnorm::BackwardSums sums = hnorm::backward_reduce(x, dy, group, c.mean);
            REQUIRE((same_bits(sums.dy, c.sum_dy) && same_bits(sums.dy_xmu, c.sum_dy_xmu)));
            REQUIRE(c.backward() == HNORM_OK);
            const Elements expected = c.dx_values();
            hnorm::backward_apply(x, dy, group, c.count, c.mean, c.variance, sums, affine, c.eps, dx);
            REQUIRE(same_bits(c.dx_values(), expected));
        }
    }
}

TEST_CASE("the C++ functions refuse arrays of the wrong length") {
    const BackwardCall c({2, 3, 4, 5});
    const hnorm::Tensor x(c.x), dy(c.dy), dx(c.dx);
    const hnorm::Group batch = hnorm::Group::batch;
    std::vector<double> three(3, 1), four(4, 1);
    std::vector<float> three_f(3), four_f(4), six_f(6);
    refused([&] { hnorm::backward(x, dy, batch, four, three, {}, 0, dx); }, "backward: mean holds 4 values");
    refused([&] { hnorm::backward(x, dy, batch, three, four, {}, 0, dx); }, "backward: variance holds 4 values");
    refused([&] { hnorm::backward(x, dy, batch, three, three, {}, 0, dx, six_f); },
            "backward: dgamma holds 6 values but must hold 3");
    refused([&] { hnorm::normalize_backward(x, dy, batch, three, three, {six_f, six_f}, 0, dx, nullptr, three_f); },
            "normalize_backward: dbeta holds 3 values but must hold 6");
    refused([&] { hnorm::backward(x, dy, batch, three, three, {four_f, nullptr}, 0, dx); },
            "backward: affine holds 4 values");
    refused([&] { hnorm::backward(x, dy, batch, three, three, {}, -1, dx); }, "hnorm_backward: eps is -1");
    refused([&] { hnorm::backward_reduce(x, dy, batch, four); }, "backward_reduce: mean holds 4 values");
    const auto apply = [&](const std::vector<double> &count, const hnorm::BackwardSums &sums) {
        hnorm::backward_apply(x, dy, batch, count, three, three, sums, {}, 0, dx);
    };
    refused([&] { apply(four, {three, three}); }, "backward_apply: count holds 4 values");
    refused([&] { apply(three, {four, three}); }, "backward_apply: sums.dy holds 4 values");
    refused([&] { apply(three, {three, four}); }, "backward_apply: sums.dy_xmu holds 4 values");
    REQUIRE(c.untouched());
}

TEST_CASE("C++ layers add up gradients, as the C layer does") {
    Pair forward({4, 3, 5, 5}), backward({4, 3, 5, 5}, 9), expected({4, 3, 5, 5}, 9);
    const hnorm::Tensor x(forward.in), y(forward.out), dy(backward.in), dx(backward.out);
    hnorm::BatchNorm layer(3);
    Layer c_layer(3);
    refused([&] { layer.backward(x, dy, dx); }, "hnorm_layer_backward: there was no forward before it");
    layer.forward(x, y);
    REQUIRE(hnorm_layer_forward(c_layer, &forward.in, &forward.out) == HNORM_OK);
    for (int step = 0; step < 2; step++) {
        layer.backward(x, dy, dx);
        REQUIRE(hnorm_layer_backward(c_layer, &forward.in, &expected.in, &expected.out) == HNORM_OK);
        REQUIRE(same_bits(backward.y, expected.y));
    }
    layer.backward(x, dy);
    REQUIRE(hnorm_layer_backward(c_layer, &forward.in, &expected.in, nullptr) == HNORM_OK);
    const hnorm::BatchNorm &view = layer;
    REQUIRE((view.gamma_grad().size() == 3 && view.beta_grad().size() == 3));
    REQUIRE(std::equal(view.gamma_grad().begin(), view.gamma_grad().end(), hnorm_layer_gamma_grad(c_layer)));
    REQUIRE(std::equal(view.beta_grad().begin(), view.beta_grad().end(), hnorm_layer_beta_grad(c_layer)));
    REQUIRE(view.beta_grad()[0] != 0);
    layer.zero_grad();
    REQUIRE((layer.gamma_grad()[2] == 0 && layer.beta_grad()[0] == 0));
    REQUIRE(hnorm::InstanceNorm(3).gamma_grad().empty());
}

TEST_CASE("PyTorch's names are the same layers, for their ranks only") {
    const std::vector<int64_t> shapes[] = {{48, 2}, {4, 2, 12}, {4, 2, 4, 3}, {4, 2, 2, 3, 2}};
    // Which of the shapes, by rank - 2, the layer takes, and what it says of the others.
    const auto check = [&](auto named, auto plain, const std::vector<bool> &takes, const std::string &words) {
        for (size_t i = 0; i < 4; i++) {
            Pair pair(shapes[i], 3), expected(shapes[i], 3);
            const hnorm::Tensor x(pair.in), y(pair.out);
            const std::string sentence = "x.rank is " + std::to_string(i + 2) + ": it must be ";
            if (!takes[i]) {
                refused([&] { named.forward(x, y); }, sentence);
                refused([&] { named.forward(x, y); }, words);
                refused([&] { named.backward(x, y); }, words);
                REQUIRE(all_are(pair.y, kSentinel));
                continue;
            }
            named.forward(x, y);
            named.backward(x, y);
            plain.forward(hnorm::Tensor(expected.in), hnorm::Tensor(expected.out));
            REQUIRE(same_bits(pair.y, expected.y));
        }
        Pair pair({48, 2});
        const std::vector<int64_t> one_axis = {96};
        auto moved = std::move(named);
        refused([&] { moved.forward(hnorm::Tensor(pair.x.view(one_axis)), hnorm::Tensor(pair.out)); }, words);
    };
    using namespace hnorm;
    check(BatchNorm1d(2), BatchNorm(2), {true, true, false, false}, "BatchNorm1d: x.rank");
    check(BatchNorm2d(2), BatchNorm(2), {false, false, true, false}, "must be 4, (N, C, H, W)");
    check(BatchNorm3d(2), BatchNorm(2), {false, false, false, true}, "must be 5, (N, C, D, H, W)");
    check(InstanceNorm1d(2), InstanceNorm(2), {false, true, false, false}, "must be 3, (N, C, L)");
    check(InstanceNorm2d(2, Options().affine(true)), InstanceNorm(2, Options().affine(true)),
          {false, false, true, false}, "InstanceNorm2d: x.rank");
    check(InstanceNorm3d(2), InstanceNorm(2), {false, false, false, true}, "InstanceNorm3d: x.rank");
}
