// Backward's refusals: in words that name the argument, with nothing written.
#include "gradients.h"

#include <cmath>

using namespace api;

namespace {

using Call = BackwardCall;

// One way to spoil a call, and what the refusal says after the function's name.
struct Spoiled {
    const char *what;
    std::function<void(Call &)> spoil;
    std::vector<std::string> words;
    hnorm_status status = HNORM_INVALID_ARGUMENT;
};

void require_refusals(const BackwardFunction &function, const std::vector<Spoiled> &spoiled) {
    for (const Spoiled &bad : spoiled) {
        INFO(function.name << ": " << bad.what);
        Call call({2, 3, 4, 5});
        bad.spoil(call);
        const Elements x = call.in.x, dy = call.out.x;
        const std::vector<float> gamma = call.gamma;
        std::vector<std::string> words = bad.words;
        words.push_back(std::string(function.name) + ": ");
        require_refused((call.*function.call)(), bad.status, words);
        REQUIRE(call.untouched());
        REQUIRE((same_bits(call.in.x, x) && same_bits(call.out.x, dy) && same_bits(call.gamma, gamma)));
    }
}

// What every function refuses of each of its tensors.
std::vector<Spoiled> bad_tensor(const std::string &name, hnorm_tensor Call::*tensor) {
    return {
        {"no data", [=](Call &c) { (c.*tensor).data = nullptr; }, {name + ".data is null"}},
        {"type",
         [=](Call &c) { (c.*tensor).type = static_cast<hnorm_type>(3); },
         {name + ".type is 3"},
         HNORM_UNSUPPORTED},
        {"rank", [=](Call &c) { (c.*tensor).rank = 1; }, {name + ".rank is 1"}},
        {"negative extent", [=](Call &c) { (c.*tensor).shape[2] = -4; }, {name + ".shape[2] is -4"}},
        {"broadcast", [=](Call &c) { (c.*tensor).strides[0] = 0; }, {name + ".strides[0] is 0", "overlap"}},
        {"not dense", [=](Call &c) { (c.*tensor).strides[2] = 8; }, {name + ".strides[2] is 8", "dense"}},
    };
}

}  // namespace

TEST_CASE("backward's functions refuse bad tensors and tensors of different shapes") {
    for (const BackwardFunction &function : kBackwardFunctions) {
        require_refusals(function, bad_tensor("x", &Call::x));
        require_refusals(function, bad_tensor("dy", &Call::dy));
        require_refusals(function, {{"dy's shape",
                                     [](Call &c) { c.dy.shape[2] = 2; },
                                     {"dy.shape is (2, 3, 2, 5) but x.shape is (2, 3, 4, 5)", "must be equal"}},
                                    {"dy's rank",
                                     [](Call &c) { c.dy = c.out.x.view({2, 3, 20}); },
                                     {"dy.shape is (2, 3, 20) but x.shape is"}}});
        if (!function.writes_dx) continue;
        require_refusals(function, bad_tensor("dx", &Call::dx));
        require_refusals(function, {{"dx's shape",
                                     [](Call &c) { c.dx.shape[0] = 1; },
                                     {"dx.shape is (1, 3, 4, 5) but x.shape is (2, 3, 4, 5)"}}});
    }
}

TEST_CASE("a tensor that backward needs must be there") {
    Call c({2, 3, 4, 5});
    const auto refused = [&](hnorm_status status, const char *words) {
        require_refused(status, HNORM_INVALID_ARGUMENT, {words});
        REQUIRE(c.untouched());
    };
    const double *const m = c.mean.data(), *const v = c.variance.data();
    for (const bool no_x : {true, false}) {
        const hnorm_tensor *const x = no_x ? nullptr : &c.x, *const dy = no_x ? &c.dy : nullptr;
        const std::string name = no_x ? "x is null" : "dy is null";
        refused(hnorm_backward_reduce(x, dy, HNORM_BATCH, m, c.sum_dy.data(), c.sum_dy_xmu.data()),
                ("hnorm_backward_reduce: " + name).c_str());
        refused(hnorm_backward_apply(x, dy, HNORM_BATCH, c.count.data(), m, v, m, m, nullptr, 0, &c.dx),
                ("hnorm_backward_apply: " + name).c_str());
        refused(hnorm_backward(x, dy, HNORM_BATCH, m, v, nullptr, 0, nullptr, &c.dx, nullptr, nullptr),
                ("hnorm_backward: " + name).c_str());
        refused(
            hnorm_normalize_backward(x, dy, HNORM_BATCH, m, v, nullptr, 0, nullptr, &c.dx, c.dgamma.data(), nullptr),
            ("hnorm_normalize_backward: " + name).c_str());
    }
    refused(hnorm_backward_apply(&c.x, &c.dy, HNORM_BATCH, c.count.data(), m, v, m, m, nullptr, 0, nullptr),
            "hnorm_backward_apply: dx is null");
}

TEST_CASE("dx is dy, x, or shares no element with them") {
    const std::vector<int64_t> shape = {3, 2, 4};
    for (const BackwardFunction &function : kBackwardFunctions) {
        if (!function.writes_dx) continue;
        for (const char *which : {"x", "dy"}) {
            INFO(function.name << ", dx and " << which);
            Elements memory({1, 1, 256});
            fill(memory, 5);
            const Elements before = memory;
            Call c(shape);
            hnorm_tensor &other = which[0] == 'x' ? c.x : c.dy;
            other.data = memory.data(64);
            const auto refused = [&](int64_t shift, const char *words) {
                c.dx.data = memory.data(64 + shift);
                require_refused((c.*function.call)(), HNORM_INVALID_ARGUMENT,
                                {std::string("dx ") + words + " " + which});
                REQUIRE((c.untouched() && same_bits(memory, before)));
            };
            refused(23, "overlaps");
            refused(-1, "overlaps");
            refused(8, "overlaps");
            c.dx.strides[0] = 16;
            refused(0, "lies within");
            c.dx.strides[0] = 8;
            for (const int64_t shift : {24, -24, 0}) {
                c.dx.data = memory.data(64 + shift);
                REQUIRE((c.*function.call)() == HNORM_OK);
            }
        }
    }
}

TEST_CASE("backward's functions refuse bad groups, statistics, eps and affines") {
    for (const BackwardFunction &function : kBackwardFunctions) {
        require_refusals(
            function,
            {{"group", [](Call &c) { c.group = static_cast<hnorm_group>(2); }, {"group is 2"}},
             {"no mean", [](Call &c) { c.mean = std::vector<double>(); }, {"mean is null: it must hold 3 values"}}});
        if (!function.writes_dx) continue;
        require_refusals(
            function,
            {{"no variance", [](Call &c) { c.variance = std::vector<double>(); }, {"variance is null"}},
             {"eps", [](Call &c) { c.eps = -1; }, {"eps is -1"}},
             {"infinite eps", [](Call &c) { c.eps = HUGE_VAL; }, {"eps is inf"}},
             {"stride of gamma", [](Call &c) { c.affine.stride_c = -1; }, {"affine.stride_c is -1"}},
             {"gamma in dx",
              [](Call &c) { c.affine.gamma = c.in.y.data<float>(118); },
              {"affine.gamma", "overlaps dx"}},
             {"beta in dx", [](Call &c) { c.affine.beta = c.in.y.data<float>(); }, {"affine.beta", "overlaps dx"}}});
    }
    require_refusals(
        kBackwardFunctions[1],
        {{"count 0", [](Call &c) { c.count[1] = 0; }, {"count[1] is 0: it must be finite and 1 or more"}},
         {"count NaN", [](Call &c) { c.count[2] = NAN; }, {"count[2] is nan"}},
         {"count infinite", [](Call &c) { c.count[0] = HUGE_VAL; }, {"count[0] is inf"}},
         {"no count", [](Call &c) { c.count = std::vector<double>(); }, {"count is null"}},
         {"no sum", [](Call &c) { c.sum_dy_given = std::vector<double>(); }, {"sum_dy is null"}},
         {"nor the other", [](Call &c) { c.sum_dy_xmu_given = std::vector<double>(); }, {"sum_dy_xmu is null"}},
         {"gamma per sample", [](Call &c) { c.affine.stride_n = 3; }, {"affine.stride_n is 3", "per channel"}}});
}

TEST_CASE("what backward writes has memory of its own") {
    Call c({2, 3, 4, 5});
    const auto refused = [&](hnorm_status status, const std::vector<std::string> &words) {
        require_refused(status, HNORM_INVALID_ARGUMENT, words);
        REQUIRE(c.untouched());
    };
    const double *const m = c.mean.data(), *const v = c.variance.data();
    double *const s = c.sum_dy.data();
    refused(hnorm_backward_reduce(&c.x, &c.dy, HNORM_BATCH, m, nullptr, s), {"sum_dy is null"});
    refused(hnorm_backward_reduce(&c.x, &c.dy, HNORM_BATCH, m, s, nullptr), {"sum_dy_xmu is null"});
    refused(hnorm_backward_reduce(&c.x, &c.dy, HNORM_BATCH, m, s, s + 1), {"sum_dy_xmu", "overlaps sum_dy"});
    refused(hnorm_backward_reduce(&c.x, &c.dy, HNORM_BATCH, s, s, c.sum_dy_xmu.data()), {"sum_dy", "overlaps mean"});
    refused(hnorm_backward_reduce(&c.x, &c.dy, HNORM_BATCH, m, c.in.x.data<double>(), s), {"sum_dy", "overlaps x"});
    refused(hnorm_backward_reduce(&c.x, &c.dy, HNORM_BATCH, m, s, c.out.x.data<double>()),
            {"sum_dy_xmu", "overlaps dy"});

    for (const auto function : {hnorm_backward, hnorm_normalize_backward}) {
        const auto call = [&](float *dgamma, float *dbeta) {
            return function(&c.x, &c.dy, HNORM_BATCH, m, v, &c.affine, 1e-5, nullptr, &c.dx, dgamma, dbeta);
        };
        float *const dg = c.dgamma.data(), *const db = c.dbeta.data();
        refused(call(dg, dg + 2), {"dgamma", "overlaps dbeta"});
        refused(call(c.in.x.data<float>(118), db), {"dgamma", "overlaps x"});
        refused(call(dg, c.out.x.data<float>()), {"dbeta", "overlaps dy"});
        refused(call(c.in.y.data<float>(), db), {"dgamma", "overlaps dx"});
        refused(call(c.gamma.data() + 2, db), {"dgamma", "overlaps affine.gamma"});
        refused(call(dg, c.beta.data()), {"dbeta", "overlaps affine.beta"});
        refused(call(reinterpret_cast<float *>(c.mean.data()), db), {"dgamma", "overlaps mean"});
        refused(call(dg, reinterpret_cast<float *>(c.variance.data()) + 5), {"dbeta", "overlaps variance"});
        refused(call(reinterpret_cast<float *>(reinterpret_cast<char *>(dg) + 2), db), {"dgamma", "multiple of 4"});
        refused(function(&c.x, &c.dy, HNORM_BATCH, c.in.y.data<double>(), v, nullptr, 1e-5, nullptr, &c.dx, dg, db),
                {"mean", "overlaps dx"});
    }
}

TEST_CASE("backward refuses groups of one element, as forward does") {
    for (hnorm_group group : {HNORM_BATCH, HNORM_INSTANCE}) {
        Call c({1, 3, 1, 1}, group);
        require_refused(c.backward(), HNORM_INVALID_ARGUMENT,
                        {"hnorm_backward: expected more than 1 value per channel", "got shape (1, 3, 1, 1)"});
        REQUIRE(c.untouched());
        // With constant statistics one element is enough, and its sums may be part of a larger
        // group's.
        REQUIRE(c.normalize_backward() == HNORM_OK);
        REQUIRE(c.reduce() == HNORM_OK);
        REQUIRE(c.apply() == HNORM_OK);
    }
}
