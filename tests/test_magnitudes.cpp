// Values far from 1, whose squares leave float's range: results are right, or visibly not finite,
// never clean and wrong.
#include "accuracy.h"
#include "catch.hpp"
#include "machine.h"

#include <cfloat>
#include <limits>
#include <string>
#include <vector>

using namespace test;

namespace {

const std::vector<Shape> kShapes = {{70, 3}, {33, 3, 5}, {40, 3, 7, 7}, {2, 3, 31, 33}, {2, 3, 4097}, {1, 2, 90, 91}};

// forward on every target and group against the reference. Data beyond the type's range ends at its
// greatest value.
void check(Tensor &x, const std::string &data, double eps, NonFinite non_finite) {
    std::vector<float> values = elements(x);
    for (float &value : values) value = clamp_to_float(value);
    x.set_elements(values);
    const Affine affine(AffineKind::kChannel, x, 7);
    Tensor y(x.shape());
    for (hnorm_group group : kGroups) {
        if (group_size(x, group) < 2) continue;
        const References expected = references(x, group);
        for (const std::string &target : targets_for_properties()) {
            const Machine machine(target);
            const MeanAndVariance saved = forward(x, group, affine, eps, y);
            const Worst worst = worst_y(x, group, expected, affine, eps, y, non_finite);
            INFO("forward/" << name(group) << " " << x.describe() << ", " << data << ", eps " << eps << ", "
                            << machine.describe() << "\n"
                            << worst.where);
            CHECK(worst.error <= kTolerance);
            // double holds the square of every float: the statistics themselves are always right
            CHECK(worst_mean(expected, saved.mean).error <= kMeanBound);
            CHECK(worst_variance(expected, saved.variance).error <= kM2Bound);
        }
    }
}

void check_scales(const std::vector<double> &scales, double eps) {
    uint64_t seed = 1;
    for (const Shape &shape : kShapes) {
        for (Kind kind : {Kind::kNormal, Kind::kRamp, Kind::kTwoValued, Kind::kHiddenOutlier}) {
            for (double scale : scales) {
                for (double ratio : {0.0, 1e3}) {
                    Tensor x(shape);
                    const Recipe recipe{kind, ratio, scale, seed++};
                    fill(x, recipe);
                    check(x, recipe.describe(), eps, NonFinite::kWrong);
                }
            }
        }
    }
}

}  // namespace

TEST_CASE("magnitudes 1e30, 1e18 and 1e-22 are normalized right with eps 0") {
    check_scales({1e30, 1e18, 1e-15, 1e-16, 1e-22, 1e-30}, 0);
}

TEST_CASE("magnitudes 1e30, 1e18 and 1e-22 are normalized right with eps 1e-5") {
    check_scales({1e30, 1e18, 1e-15, 1e-16, 1e-22, 1e-30}, 1e-5);
}

TEST_CASE("denormal values are normalized right with eps 1e-5") { check_scales({1e-38, 1e-41, 1e-44}, 1e-5); }

TEST_CASE("one sample beyond float's range among ordinary ones leaves the result right") {
    for (double scale : {1e30, 1e20, 1e-22, 0.0}) {
        for (const Shape &shape : std::vector<Shape>{{130, 2, 5}, {40, 2, 7, 7}, {5, 2, 1000}, {3, 2, 5000}}) {
            Tensor x(shape);
            fill(x, {Kind::kNormal, 0, 1, 3});
            for (int64_t c = 0; c < x.channels(); c++)
                for (int64_t s = 0; s < x.positions(); s++) x.at(1, c, s) *= static_cast<float>(scale);
            check(x, "normal data, sample 1 scaled by " + std::to_string(scale), 1e-5, NonFinite::kWrong);
        }
    }
}

TEST_CASE("finite input up to FLT_MAX never gives a clean wrong result") {
    constexpr float kPatterns[][4] = {
        {FLT_MAX, -FLT_MAX, FLT_MAX, -FLT_MAX},
        {FLT_MAX, FLT_MAX, FLT_MAX, -FLT_MAX},
        {FLT_MAX, FLT_MAX / 2, FLT_MAX, 0},
        {FLT_MAX, 1, -1, FLT_MIN},
        {-FLT_MAX, 1e-22f, 0, 1e-22f},
        {FLT_MIN, -FLT_MIN, 0, FLT_MIN / 8},
        {1.4e-45f, 0, -1.4e-45f, 0},
        {1e19f, 1e-19f, -1e19f, 1e-20f},
        {1e-18f, 1e-19f, 1e-20f, 0},
    };
    for (const float(&pattern)[4] : kPatterns) {
        for (const Shape &shape : kShapes) {
            Tensor x(shape);
            for (int64_t n = 0; n < x.samples(); n++)
                for (int64_t c = 0; c < x.channels(); c++)
                    for (int64_t s = 0; s < x.positions(); s++) x.at(n, c, s) = pattern[(n + c + s * (s + 1) / 2) % 4];
            std::string data = "pattern";
            for (float value : pattern) data += " " + std::to_string(value);
            for (double eps : {0.0, 1e-5}) check(x, data, eps, NonFinite::kAllowed);
        }
    }
    for (double scale : {3.4e38, 1e38, 1e37}) {
        for (Kind kind : {Kind::kUniform, Kind::kNormal, Kind::kRamp, Kind::kPivotOutlier}) {
            Tensor x({3, 2, 5000});
            const Recipe recipe{kind, 0, scale, 5};
            fill(x, recipe);
            for (double eps : {0.0, 1e-5}) check(x, recipe.describe(), eps, NonFinite::kAllowed);
        }
    }
}

TEST_CASE("one element of FLT_MAX among ordinary ones is never lost") {
    for (const Shape &shape : kShapes) {
        for (float value : {FLT_MAX, -FLT_MAX, 1e25f}) {
            Tensor x(shape);
            fill(x, {Kind::kNormal, 0, 1, 9});
            x.at(x.samples() / 2, 1, x.positions() / 2) = value;
            check(x, "normal data with one " + std::to_string(value), 1e-5, NonFinite::kAllowed);
        }
    }
}
