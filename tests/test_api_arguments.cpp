// Every bad argument that is not a tensor: refused in words that name it, with nothing written.
#include "api.h"

#include <cmath>
#include <limits>

using namespace api;

namespace {

const double kNan = std::numeric_limits<double>::quiet_NaN();
const double kInfinity = std::numeric_limits<double>::infinity();
const double kBadEps[] = {-1e-5, -kInfinity, kInfinity, kNan};
const hnorm_group kBadGroup = static_cast<hnorm_group>(2);

// Good arguments for a tensor of shape (2, 3, 4, 5), to be spoiled one at a time.
struct Good : Pair {
    Good()
        : Pair({2, 3, 4, 5}),
          gamma(6, 1.5f),
          beta(6, 0.5f),
          affine(hnorm_affine_of_samples(gamma.data(), beta.data(), 3)),
          arrays(6) {}

    hnorm_status moments(hnorm_group group = HNORM_BATCH) {
        return hnorm_moments(&in, group, arrays.count.data(), arrays.mean.data(), arrays.m2.data());
    }
    hnorm_status normalize(const double *mean, const double *variance, double eps = 1e-5,
                           hnorm_group group = HNORM_BATCH) {
        return hnorm_normalize(&in, group, mean, variance, &affine, eps, post, &out);
    }
    hnorm_status forward(double *mean, double *variance, double eps = 1e-5, hnorm_group group = HNORM_BATCH) {
        return hnorm_forward(&in, group, &affine, eps, post, &out, mean, variance);
    }
    void require_untouched() {
        REQUIRE(all_are(y, kSentinel));
        REQUIRE(arrays.untouched());
        REQUIRE(all_are(gamma, 1.5f));
        REQUIRE(all_are(beta, 0.5f));
    }

    std::vector<float> gamma, beta;
    hnorm_affine affine;
    const hnorm_post_ops *post = nullptr;
    Arrays arrays;
};

}  // namespace

TEST_CASE("a group that is no group is refused") {
    Good good;
    double *mean = good.arrays.mean.data(), *variance = good.arrays.m2.data();
    const std::string words = "group is 2: it must be HNORM_BATCH (0), HNORM_INSTANCE (1) or hnorm_groups(G)";
    require_refused(good.moments(kBadGroup), HNORM_INVALID_ARGUMENT, {"hnorm_moments: " + words});
    require_refused(good.normalize(good.arrays.given_mean.data(), good.arrays.given_variance.data(), 1e-5, kBadGroup),
                    HNORM_INVALID_ARGUMENT, {"hnorm_normalize: " + words});
    require_refused(good.forward(mean, variance, 1e-5, kBadGroup), HNORM_INVALID_ARGUMENT, {"hnorm_forward: " + words});
    good.require_untouched();
}

TEST_CASE("eps is finite and not negative, and may be 0") {
    for (double eps : kBadEps) {
        INFO("eps " << eps);
        Good good;
        double *mean = good.arrays.mean.data(), *variance = good.arrays.m2.data();
        require_refused(good.normalize(good.arrays.given_mean.data(), good.arrays.given_variance.data(), eps),
                        HNORM_INVALID_ARGUMENT, {"hnorm_normalize: eps is ", "finite and 0 or more"});
        require_refused(good.forward(mean, variance, eps), HNORM_INVALID_ARGUMENT, {"hnorm_forward: eps is "});
        require_refused(hnorm_batch_normalization(&good.in, 3, good.arrays.mean_f.data(), good.arrays.variance_f.data(),
                                                  nullptr, nullptr, eps, &good.out),
                        HNORM_INVALID_ARGUMENT, {"hnorm_batch_normalization: variance_epsilon is "});
        good.require_untouched();
    }
    Good good;
    REQUIRE(good.forward(nullptr, nullptr, 0.0) == HNORM_OK);
    REQUIRE(!all_are(good.y, kSentinel));
}

TEST_CASE("absent statistics are refused by name") {
    Good good;
    double *const mean = good.arrays.mean.data(), *const m2 = good.arrays.m2.data(),
                  *const n = good.arrays.count.data();
    const double *const given = good.arrays.given_mean.data();
    const float *const mean_f = good.arrays.mean_f.data();
    require_refused(hnorm_moments(&good.in, HNORM_BATCH, nullptr, mean, m2), HNORM_INVALID_ARGUMENT,
                    {"hnorm_moments: count is null: it must hold 3 values"});
    require_refused(hnorm_moments(&good.in, HNORM_INSTANCE, n, nullptr, m2), HNORM_INVALID_ARGUMENT,
                    {"hnorm_moments: mean is null: it must hold 6 values"});
    require_refused(hnorm_moments(&good.in, HNORM_BATCH, n, mean, nullptr), HNORM_INVALID_ARGUMENT,
                    {"hnorm_moments: m2 is null"});
    require_refused(good.normalize(nullptr, given), HNORM_INVALID_ARGUMENT, {"hnorm_normalize: mean is null"});
    require_refused(good.normalize(given, nullptr), HNORM_INVALID_ARGUMENT, {"hnorm_normalize: variance is null"});
    require_refused(hnorm_batch_normalization(&good.in, 3, nullptr, mean_f, nullptr, nullptr, 1e-3, &good.out),
                    HNORM_INVALID_ARGUMENT, {"hnorm_batch_normalization: mean is null"});
    require_refused(hnorm_batch_normalization(&good.in, 6, mean_f, nullptr, nullptr, nullptr, 1e-3, &good.out),
                    HNORM_INVALID_ARGUMENT, {"hnorm_batch_normalization: variance is null: it must hold 6 values"});
    good.require_untouched();
}

TEST_CASE("statistics that overlap a tensor or one another are refused") {
    Good good;
    double *const mean = good.arrays.mean.data(), *const m2 = good.arrays.m2.data(),
                  *const n = good.arrays.count.data();
    double *const in_x = good.x.data<double>(), *const in_y = good.y.data<double>();
    require_refused(hnorm_moments(&good.in, HNORM_BATCH, n, in_x, m2), HNORM_INVALID_ARGUMENT,
                    {"hnorm_moments: mean (3 values", "overlaps x"});
    require_refused(hnorm_moments(&good.in, HNORM_BATCH, mean, mean + 2, m2), HNORM_INVALID_ARGUMENT,
                    {"hnorm_moments: count", "overlaps mean"});
    require_refused(hnorm_moments(&good.in, HNORM_BATCH, n, mean, n), HNORM_INVALID_ARGUMENT,
                    {"hnorm_moments: count", "overlaps m2"});
    require_refused(hnorm_moments(&good.in, HNORM_BATCH, n, mean, mean), HNORM_INVALID_ARGUMENT,
                    {"hnorm_moments: mean", "overlaps m2"});
    require_refused(good.forward(in_x, m2), HNORM_INVALID_ARGUMENT, {"hnorm_forward: mean", "overlaps x"});
    require_refused(good.forward(mean, in_y), HNORM_INVALID_ARGUMENT, {"hnorm_forward: variance", "overlaps y"});
    require_refused(good.forward(mean, mean + 1), HNORM_INVALID_ARGUMENT, {"hnorm_forward: mean", "overlaps variance"});
    require_refused(good.forward(mean, mean), HNORM_INVALID_ARGUMENT, {"hnorm_forward: mean", "overlaps variance"});
    require_refused(good.normalize(in_y, m2), HNORM_INVALID_ARGUMENT, {"hnorm_normalize: mean", "overlaps y"});
    require_refused(good.normalize(m2, in_y), HNORM_INVALID_ARGUMENT, {"hnorm_normalize: variance", "overlaps y"});
    require_refused(hnorm_batch_normalization(&good.in, 3, good.y.data<float>(), good.y.data<float>(), nullptr, nullptr,
                                              1e-3, &good.out),
                    HNORM_INVALID_ARGUMENT, {"hnorm_batch_normalization: mean", "overlaps y"});
    for (float *affine : {good.gamma.data(), good.beta.data()}) {
        const size_t skip = reinterpret_cast<uintptr_t>(affine) % sizeof(double) ? 1 : 0;
        require_refused(good.forward(nullptr, reinterpret_cast<double *>(affine + skip)), HNORM_INVALID_ARGUMENT,
                        {"hnorm_forward: variance", "overlaps affine."});
    }
    good.require_untouched();
    REQUIRE(hnorm_moments(&good.in, HNORM_BATCH, n, n + 3, mean) == HNORM_OK);  // adjacent is apart
}

TEST_CASE("a bad affine is refused") {
    Good good;
    const auto refuse = [&](const char *what, hnorm_status status, const std::vector<std::string> &words) {
        INFO(what);
        require_refused(good.forward(nullptr, nullptr), status, words);
        require_refused(good.normalize(good.arrays.given_mean.data(), good.arrays.given_variance.data()), status,
                        words);
        good.require_untouched();
        good.affine = hnorm_affine_of_samples(good.gamma.data(), good.beta.data(), 3);
    };
    good.affine.stride_n = -3;
    refuse("negative n", HNORM_INVALID_ARGUMENT, {"affine.stride_n is -3", "0 or more"});
    good.affine.stride_c = -1;
    refuse("negative c", HNORM_INVALID_ARGUMENT, {"affine.stride_c is -1", "0 or more"});
    good.affine.stride_c = INT64_MAX;
    refuse("far", HNORM_UNSUPPORTED, {"affine.stride_c is 9223372036854775807", "2000000000"});
    good.affine.stride_n = 2000000001;
    refuse("farther than an extent", HNORM_UNSUPPORTED, {"affine.stride_n is 2000000001", "2000000000"});
    good.affine.gamma = good.y.data<float>(118);
    refuse("gamma in y", HNORM_INVALID_ARGUMENT, {"affine.gamma", "overlaps y"});
    good.affine.beta = good.y.data<float>(4);
    refuse("beta in y", HNORM_INVALID_ARGUMENT, {"affine.beta", "overlaps y"});
    good.affine.gamma = reinterpret_cast<float *>(reinterpret_cast<char *>(good.gamma.data()) + 1);
    refuse("misaligned", HNORM_INVALID_ARGUMENT, {"affine.gamma is 0x", "multiple of 4"});
    const float *const scale = good.y.data<float>(8);
    require_refused(hnorm_batch_normalization(&good.in, 3, good.arrays.mean_f.data(), good.arrays.variance_f.data(),
                                              scale, nullptr, 1e-3, &good.out),
                    HNORM_INVALID_ARGUMENT, {"hnorm_batch_normalization: offset", "overlaps y"});
    require_refused(hnorm_batch_normalization(&good.in, 3, good.arrays.mean_f.data(), good.arrays.variance_f.data(),
                                              nullptr, scale, 1e-3, &good.out),
                    HNORM_INVALID_ARGUMENT, {"hnorm_batch_normalization: scale", "overlaps y"});
    good.require_untouched();
}

TEST_CASE("strides of an affine do not matter on axes of extent 1") {
    Pair pair({1, 1, 6}), plain({1, 1, 6});
    const float gamma = 3, beta = -2;
    const hnorm_affine odd = {sizeof(hnorm_affine), &gamma, &beta, -5, INT64_MAX};
    const hnorm_affine usual = hnorm_affine_of(&gamma, &beta);
    REQUIRE(hnorm_forward(&pair.in, HNORM_BATCH, &odd, 1e-5, nullptr, &pair.out, nullptr, nullptr) == HNORM_OK);
    REQUIRE(hnorm_forward(&plain.in, HNORM_BATCH, &usual, 1e-5, nullptr, &plain.out, nullptr, nullptr) == HNORM_OK);
    REQUIRE(same_bits(pair.y, plain.y));
    REQUIRE(!all_are(pair.y, kSentinel));
}

TEST_CASE("batch_normalization takes C or N*C values") {
    Good good;
    for (int64_t length : {int64_t(0), int64_t(2), int64_t(4), int64_t(7), int64_t(-3), int64_t(INT64_MAX)}) {
        require_refused(hnorm_batch_normalization(&good.in, length, good.arrays.mean_f.data(),
                                                  good.arrays.variance_f.data(), nullptr, nullptr, 1e-3, &good.out),
                        HNORM_INVALID_ARGUMENT, {"length is " + std::to_string(length), "must be 3", "or 6"});
    }
    good.require_untouched();
}

TEST_CASE("forward refuses groups of one value") {
    struct Shape {
        std::vector<int64_t> shape;
        hnorm_group group;
        const char *words;
    };
    const Shape shapes[] = {{{1, 3, 1, 1}, HNORM_BATCH, "more than 1 value per channel, got shape (1, 3, 1, 1)"},
                            {{1, 3}, HNORM_BATCH, "got shape (1, 3)"},
                            {{4, 3, 1}, HNORM_INSTANCE, "per channel of a sample, got shape (4, 3, 1)"},
                            {{4, 3}, HNORM_INSTANCE, "got shape (4, 3)"}};
    for (const Shape &bad : shapes) {
        Pair pair(bad.shape);
        Arrays arrays(12);
        require_refused(
            hnorm_forward(&pair.in, bad.group, nullptr, 1e-5, nullptr, &pair.out, arrays.mean.data(), arrays.m2.data()),
            HNORM_INVALID_ARGUMENT, {"hnorm_forward: expected ", bad.words});
        REQUIRE(all_are(pair.y, kSentinel));
        REQUIRE(arrays.untouched());
    }
    Pair pair({4, 3});
    REQUIRE(hnorm_forward(&pair.in, HNORM_BATCH, nullptr, 1e-5, nullptr, &pair.out, nullptr, nullptr) == HNORM_OK);
}

TEST_CASE("merging refuses bad counts, absent arrays and shared memory, and then writes nothing", "[once]") {
    std::vector<double> count = {4, 4}, mean = {1, 2}, m2 = {3, 4}, n = {2, 2}, other_mean = {5, 6}, other_m2 = {7, 8};
    const auto merge = [&](int64_t groups, double *other) {
        return hnorm_merge_moments(groups, count.data(), mean.data(), m2.data(), other, other_mean.data(),
                                   other_m2.data());
    };
    require_refused(merge(-1, n.data()), HNORM_INVALID_ARGUMENT, {"hnorm_merge_moments: groups is -1"});
    require_refused(merge(INT64_MAX, n.data()), HNORM_UNSUPPORTED, {"groups is 9223372036854775807"});
    require_refused(merge(2, nullptr), HNORM_INVALID_ARGUMENT, {"other_count is null: it must hold 2 values"});
    require_refused(merge(2, count.data()), HNORM_INVALID_ARGUMENT, {"count", "overlaps other_count"});
    require_refused(
        hnorm_merge_moments(2, count.data(), mean.data(), mean.data(), n.data(), other_mean.data(), other_m2.data()),
        HNORM_INVALID_ARGUMENT, {"mean", "overlaps m2"});
    for (double bad : {-1.0, kNan, kInfinity}) {
        INFO("count " << bad);
        n[1] = bad;
        require_refused(merge(2, n.data()), HNORM_INVALID_ARGUMENT, {"other_count[1] is ", "finite and 0 or more"});
        n[1] = 2;
        count[1] = bad;
        require_refused(merge(2, n.data()), HNORM_INVALID_ARGUMENT, {" count[1] is "});
        count[1] = 4;
    }
    REQUIRE(count == std::vector<double>{4, 4});
    REQUIRE(mean == std::vector<double>{1, 2});
    REQUIRE(m2 == std::vector<double>{3, 4});
    REQUIRE(merge(0, nullptr) == HNORM_OK);
    REQUIRE(merge(2, n.data()) == HNORM_OK);
    REQUIRE(count == std::vector<double>{6, 6});
}

TEST_CASE("layers are created with sane options, or not at all", "[once]") {
    hnorm_layer *const nowhere = reinterpret_cast<hnorm_layer *>(&hnorm_layer_create);
    hnorm_layer *layer = nowhere;
    hnorm_layer_options options = hnorm_layer_defaults(HNORM_BATCH);
    require_refused(hnorm_layer_create(3, &options, nullptr), HNORM_INVALID_ARGUMENT,
                    {"hnorm_layer_create: layer is null"});
    for (int64_t features : {int64_t(0), int64_t(-4)}) {
        require_refused(hnorm_layer_create(features, &options, &layer), HNORM_INVALID_ARGUMENT,
                        {"num_features is " + std::to_string(features), "1 or more"});
    }
    require_refused(hnorm_layer_create(INT64_MAX, &options, &layer), HNORM_UNSUPPORTED, {"num_features is 92233"});
    for (double eps : kBadEps) {
        options.eps = eps;
        require_refused(hnorm_layer_create(3, &options, &layer), HNORM_INVALID_ARGUMENT, {"options.eps is "});
    }
    options.eps = 1e-5;
    for (double momentum : {-0.1, 1.1, kNan, kInfinity}) {
        options.momentum = momentum;
        require_refused(hnorm_layer_create(3, &options, &layer), HNORM_INVALID_ARGUMENT,
                        {"options.momentum is ", "[0, 1]"});
    }
    options.momentum = 0.1;
    options.group = kBadGroup;
    require_refused(hnorm_layer_create(3, &options, &layer), HNORM_INVALID_ARGUMENT, {"options.group is 2"});
    REQUIRE(layer == nowhere);
}

TEST_CASE("a null layer is refused, or has nothing") {
    Pair pair({2, 3, 4});
    require_refused(hnorm_layer_forward(nullptr, &pair.in, &pair.out), HNORM_INVALID_ARGUMENT,
                    {"hnorm_layer_forward: layer is null"});
    require_refused(hnorm_layer_train(nullptr, 1), HNORM_INVALID_ARGUMENT, {"hnorm_layer_train: layer is null"});
    require_refused(hnorm_layer_reset_running_stats(nullptr), HNORM_INVALID_ARGUMENT,
                    {"hnorm_layer_reset_running_stats: layer is null"});
    REQUIRE(all_are(pair.y, kSentinel));
    REQUIRE(hnorm_layer_gamma(nullptr) == nullptr);
    REQUIRE(hnorm_layer_beta(nullptr) == nullptr);
    REQUIRE(hnorm_layer_running_mean(nullptr) == nullptr);
    REQUIRE(hnorm_layer_running_var(nullptr) == nullptr);
    REQUIRE(hnorm_layer_num_batches_tracked(nullptr) == nullptr);
    REQUIRE(hnorm_layer_num_features(nullptr) == 0);
    REQUIRE(hnorm_layer_is_training(nullptr) == 0);
    hnorm_layer_destroy(nullptr);
}
