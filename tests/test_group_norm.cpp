// Groups of channels (hnorm_groups): statistics and gradients against their definition in long
// double, bits against the order of summation, and what they are at either end: instance norm and
// layer norm.
#include "accuracy.h"
#include "api.h"
#include "check_bits.h"

#include <hnorm/hnorm.hpp>

using namespace test;

namespace {

struct Size {
    Shape shape;
    int64_t groups;
};
// Planes of every class, few channels, groups of one channel and of all, planes of one position.
const std::vector<Size> kSizes = {{{2, 6, 3, 5}, 2},    {{3, 32, 7, 7}, 8},   {{2, 64, 4, 4}, 32},
                                  {{2, 12, 33, 35}, 3}, {{1, 4, 64, 65}, 2},  {{2, 3, 23, 29}, 1},
                                  {{5, 40}, 4},         {{3, 7, 1}, 1},       {{2, 10, 14, 14}, 10},
                                  {{2, 96, 5}, 6},      {{1, 30, 2, 3, 4}, 5}};

Tensor filled(const Shape &shape, const Recipe &recipe, const Padding &padding = {}) {
    Tensor x(shape, padding);
    fill(x, recipe);
    return x;
}

}  // namespace

TEST_CASE("y and the statistics of groups of channels are within their bounds of the reference") {
    uint64_t seed = 1;
    for (const Size &size : kSizes) {
        const hnorm_group group = hnorm_groups(size.groups);
        for (Kind kind : {Kind::kNormal, Kind::kRamp, Kind::kQuantised, Kind::kConstant, Kind::kHiddenOutlier}) {
            for (double ratio : {0.0, 30.0, 1e5}) {
                const Tensor x = filled(size.shape, {kind, ratio, 1, seed++});
                Tensor y(size.shape);
                const Affine affine(kAffineKinds[seed % 5], x, seed);
                const Tensor residual = filled(size.shape, {Kind::kNormal, 1, 1, seed + 500});
                const Post post = {kActivations[seed % 5], seed % 3 ? nullptr : &residual};
                const References expected = references(x, group);
                const MeanAndVariance saved = forward(x, group, affine, 1e-5, y, post);
                const Worst of_y = worst_y(x, group, expected, affine, 1e-5, y, NonFinite::kWrong, post);
                INFO(name(group) << " " << x.describe() << ", seed " << seed << "\n" << of_y.where);
                CHECK(of_y.error <= kTolerance);
                CHECK(worst_mean(expected, saved.mean).error <= kMeanBound);
                CHECK(worst_variance(expected, saved.variance).error <= kM2Bound);
            }
        }
    }
}

TEST_CASE("channels of one group may lie far apart") {
    // Each channel is all but constant, at a place of its own: the variance is that of the places.
    Tensor x({2, 8, 6, 6}), y({2, 8, 6, 6});
    fill(x, {Kind::kNormal, 0, 1e-3, 5});
    for (int64_t n = 0; n < 2; n++)
        for (int64_t c = 0; c < 8; c++)
            for (int64_t s = 0; s < 36; s++) x.at(n, c, s) += static_cast<float>(c % 4) * 100;
    x.settle();
    const hnorm_group group = hnorm_groups(2);
    const References expected = references(x, group);
    const MeanAndVariance saved = forward(x, group, Affine(AffineKind::kNone, x), 1e-5, y);
    CHECK(worst_y(x, group, expected, Affine(AffineKind::kNone, x), 1e-5, y).error <= kTolerance);
    CHECK(std::fabs(saved.mean[3] - 150) < 0.5);
    CHECK(std::fabs(saved.variance[3] - 12500) < 50);
}

TEST_CASE("gradients of groups of channels are within their bounds of the reference") {
    uint64_t seed = 1;
    for (const Size &size : kSizes) {
        const hnorm_group group = hnorm_groups(size.groups);
        for (double ratio : {0.0, 3.0, 1e3}) {
            for (bool frozen : {false, true}) {
                const Tensor x = filled(size.shape, {Kind::kNormal, ratio, 1, seed++});
                const Tensor dy = filled(size.shape, {Kind::kNormal, 0.5, 1, seed + 100});
                Tensor dx(size.shape);
                const Affine affine(kAffineKinds[seed % 5], x, seed);
                const References statistics = references(x, group);
                std::vector<double> mean, variance;
                for (const reference::Statistics &of_group : statistics) {
                    mean.push_back(static_cast<double>(of_group.mean));
                    variance.push_back(static_cast<double>(of_group.variance));
                }
                const reference::Gradients expected =
                    reference_gradients(x, dy, group, statistics, frozen, affine, 1e-5);
                const ParameterGradients found =
                    backward(&x, dy, group, mean, variance, affine, 1e-5, frozen, &dx, Wanted::kBoth, {});
                const Worst of_dx = worst_dx(x, group, expected, dx);
                INFO(name(group) << " " << x.describe() << ", ratio " << ratio << ", frozen " << frozen << ", "
                                 << affine.describe() << "\n"
                                 << of_dx.where);
                CHECK(of_dx.error <= kGradientTolerance);
                CHECK(worst_dgamma(x, group, found.dgamma, expected, mean, statistics, 1e-5).error <=
                      kGradientTolerance);
                CHECK(worst_dbeta(found.dbeta, expected).error <= kGradientTolerance);
            }
        }
    }
}

TEST_CASE("groups of channels have the transcription's bits on every target and number of threads") {
    uint64_t seed = 3;
    for (const Size &size : kSizes) {
        Case test_case;
        test_case.shape = size.shape;
        test_case.padding = {static_cast<int64_t>(seed % 7), static_cast<int64_t>(seed % 3), seed % 2 == 0};
        test_case.recipe = {Kind::kNormal, seed % 2 ? 3.0 : 0.0, seed % 5 ? 1 : 1e-30, seed};
        test_case.affine = kAffineKinds[seed % 5];
        test_case.activation = kActivations[seed % 5];
        test_case.residual = seed % 3 == 0;
        test_case.eps = 1e-5;
        check_forward_bits_of({hnorm_groups(size.groups)}, test_case);
        check_backward_bits_of({hnorm_groups(size.groups)}, test_case, varied_dy(test_case.recipe.seed));
        seed++;
    }
    // Tensors that threads share, in blocks of whole groups.
    for (const Size &size : std::vector<Size>{{{2, 96, 32, 32}, 12}, {{3, 48, 40, 41}, 3}, {{64, 64, 3, 3}, 32}}) {
        Case test_case;
        test_case.shape = size.shape;
        test_case.recipe = {Kind::kNormal, 1, 1, seed++};
        test_case.eps = 1e-5;
        check_forward_bits_of({hnorm_groups(size.groups)}, test_case);
        check_backward_bits_of({hnorm_groups(size.groups)}, test_case, varied_dy(test_case.recipe.seed));
    }
}

TEST_CASE("as many groups as channels are instance norm, to the bit") {
    const Tensor x = filled({3, 20, 9, 11}, {Kind::kNormal, 2, 1, 5}),
                 dy = filled({3, 20, 9, 11}, {Kind::kNormal, 0, 1, 6});
    Tensor y(x.shape()), same_y(x.shape()), dx(x.shape()), same_dx(x.shape());
    const Affine affine(AffineKind::kChannel, x);
    const hnorm_group all = hnorm_groups(20);
    const MeanAndVariance of_groups = forward(x, all, affine, 1e-5, y);
    const MeanAndVariance of_instances = forward(x, HNORM_INSTANCE, affine, 1e-5, same_y);
    REQUIRE(difference(y, elements(same_y)).empty());
    REQUIRE(of_groups.mean == of_instances.mean);
    REQUIRE(of_groups.variance == of_instances.variance);
    const auto gradients = [&](hnorm_group group, Tensor &to) {
        return backward(&x, dy, group, of_groups.mean, of_groups.variance, affine, 1e-5, false, &to, Wanted::kBoth, {});
    };
    const ParameterGradients found = gradients(all, dx), same = gradients(HNORM_INSTANCE, same_dx);
    REQUIRE(difference(dx, elements(same_dx)).empty());
    REQUIRE(found.dgamma == same.dgamma);
    REQUIRE(found.dbeta == same.dbeta);
}

TEST_CASE("a layer of groups is torch.nn.GroupNorm") {
    const Tensor x = filled({2, 6, 5, 3}, {Kind::kNormal, 1, 1, 8}),
                 dy = filled({2, 6, 5, 3}, {Kind::kNormal, 0, 1, 9});
    Tensor y(x.shape()), expected(x.shape()), dx(x.shape()), expected_dx(x.shape());
    hnorm::GroupNorm layer(3, 6);
    REQUIRE(layer.num_features() == 6);
    REQUIRE(layer.running_mean().size() == 0);
    REQUIRE(layer.num_batches_tracked().size() == 0);
    REQUIRE(layer.gamma().size() == 6);
    Affine affine(AffineKind::kChannel, x, 4);
    std::copy(affine.gammas.begin(), affine.gammas.end(), layer.gamma().begin());
    std::copy(affine.betas.begin(), affine.betas.end(), layer.beta().begin());
    const hnorm_group group = hnorm_groups(3);
    const hnorm_tensor of_x = x.view(), of_y = y.view(), of_dy = dy.view(), of_dx = dx.view();
    const MeanAndVariance saved = forward(x, group, affine, 1e-5, expected);
    const ParameterGradients gradients =
        backward(&x, dy, group, saved.mean, saved.variance, affine, 1e-5, false, &expected_dx, Wanted::kBoth, {});
    for (bool training : {true, false}) {  // there is no difference
        layer.train(training);
        layer.zero_grad();
        REQUIRE(hnorm_layer_forward(layer.c(), &of_x, &of_y) == HNORM_OK);
        y.load();
        REQUIRE(difference(y, elements(expected)).empty());
        REQUIRE(hnorm_layer_backward(layer.c(), &of_x, &of_dy, &of_dx) == HNORM_OK);
        dx.load();
        REQUIRE(difference(dx, elements(expected_dx)).empty());
        REQUIRE(std::equal(gradients.dgamma.begin(), gradients.dgamma.end(), layer.gamma_grad().begin()));
        REQUIRE(std::equal(gradients.dbeta.begin(), gradients.dbeta.end(), layer.beta_grad().begin()));
    }
}

TEST_CASE("C++ functions take groups of channels, and check their arrays' lengths", "[once]") {
    std::vector<float> x = {1, 3, 5, 7, 2, 2, 4, 4}, y(8);
    const hnorm::Tensor in = hnorm::ncl(x.data(), {1, 4, 2}), out = hnorm::ncl(y.data(), {1, 4, 2});
    const hnorm::Moments moments = hnorm::moments(in, hnorm::groups(2));
    REQUIRE(moments.count == std::vector<double>{4, 4});
    REQUIRE(moments.mean == std::vector<double>{4, 3});
    REQUIRE(moments.m2 == std::vector<double>{20, 4});
    const std::vector<double> mean = {4, 3}, variance = {5, 1};
    hnorm::normalize(in, hnorm::groups(2), mean, variance, {}, 0, out);
    REQUIRE(y[4] == -1);
    REQUIRE(y[6] == 1);
    const std::vector<double> four(4, 1.0);
    REQUIRE_THROWS_AS(hnorm::normalize(in, hnorm::groups(2), four, four, {}, 0, out), hnorm::Error);
}

TEST_CASE("numbers of groups that cannot be are refused by name", "[once]") {
    std::vector<float> x(24), y(24, 5);
    std::vector<double> mean(24), variance(24, 1), sums(24);
    const int64_t shape[] = {2, 6, 2};
    const hnorm_tensor in = hnorm_channels_first(x.data(), 3, shape), out = hnorm_channels_first(y.data(), 3, shape);
    const auto forward_of = [&](hnorm_group group) {
        return hnorm_forward(&in, group, nullptr, 1e-5, nullptr, &out, mean.data(), variance.data());
    };
    api::require_refused(forward_of(hnorm_groups(4)), HNORM_INVALID_ARGUMENT,
                         {"hnorm_forward: group is hnorm_groups(4)", "6 channels"});
    for (int64_t none : {int64_t(0), int64_t(-3), int64_t(1) << 40})
        api::require_refused(forward_of(hnorm_groups(none)), HNORM_INVALID_ARGUMENT,
                             {"group is 2", "hnorm_groups(G)", "HNORM_BATCH"});
    api::require_refused(forward_of(static_cast<hnorm_group>(-1)), HNORM_INVALID_ARGUMENT, {"group is -1"});
    api::require_refused(hnorm_backward_reduce(&in, &out, hnorm_groups(3), mean.data(), sums.data(), variance.data()),
                         HNORM_UNSUPPORTED,
                         {"hnorm_backward_reduce: group is hnorm_groups(3) of 6 channels", "HNORM_INSTANCE"});
    const int64_t one[] = {3, 2, 1};
    const hnorm_tensor single = hnorm_channels_first(x.data(), 3, one);
    api::require_refused(hnorm_forward(&single, hnorm_groups(2), nullptr, 1e-5, nullptr, &single, nullptr, nullptr),
                         HNORM_INVALID_ARGUMENT, {"more than 1 value"});
    hnorm_layer *layer = nullptr;
    hnorm_layer_options options = hnorm_layer_defaults(hnorm_groups(4));
    api::require_refused(hnorm_layer_create(6, &options, &layer), HNORM_INVALID_ARGUMENT,
                         {"options.group is hnorm_groups(4)", "6 channels"});
    options = hnorm_layer_defaults(hnorm_groups(3));
    options.track_running_stats = 1;
    api::require_refused(hnorm_layer_create(6, &options, &layer), HNORM_INVALID_ARGUMENT,
                         {"options.track_running_stats", "hnorm_groups"});
    REQUIRE(y == std::vector<float>(24, 5));
}
