// Errors of the gradients against the reference in long double, after hnorm's own forward: for
// every kind of x, |mean|/sigma from 0 to 10,000, many kinds of dy, every class of planes and every
// target. The worst ones are printed: run with --success, or ctest -V -R backward_accuracy.
#include "accuracy.h"
#include "catch.hpp"
#include "expected.h"
#include "machine.h"

#include <iostream>
#include <string>
#include <vector>

using namespace test;

namespace {

enum class Dy { kNormal, kOffset, kRamp, kTwoValued, kConstant, kOutlier, kLikeX, kSparse, kSmall, kLarge };
constexpr Dy kAllDy[] = {Dy::kNormal,  Dy::kOffset, Dy::kRamp,   Dy::kTwoValued, Dy::kConstant,
                         Dy::kOutlier, Dy::kLikeX,  Dy::kSparse, Dy::kSmall,     Dy::kLarge};

const char *name(Dy kind) {
    switch (kind) {
    case Dy::kNormal: return "normal dy";
    case Dy::kOffset: return "normal dy, mean 30 sigma";
    case Dy::kRamp: return "ramp dy";
    case Dy::kTwoValued: return "two-valued dy";
    case Dy::kConstant: return "constant dy";
    case Dy::kOutlier: return "dy with outliers";
    case Dy::kLikeX: return "dy = x - mean";  // dx is about 0
    case Dy::kSparse: return "dy of one element in 16, else 0";
    case Dy::kSmall: return "dy about 1e-25";
    case Dy::kLarge: return "dy about 1e25";
    }
    return "?";
}

void fill_dy(Tensor &dy, Dy kind, const Tensor &x, uint64_t seed) {
    switch (kind) {
    case Dy::kNormal: fill(dy, {Kind::kNormal, 0, 1, seed}); return;
    case Dy::kOffset: fill(dy, {Kind::kNormal, 30, 1, seed}); return;
    case Dy::kRamp: fill(dy, {Kind::kRamp, 0.3, 1.17, seed}); return;
    case Dy::kTwoValued: fill(dy, {Kind::kTwoValued, 0, 0.7, seed}); return;
    case Dy::kConstant: fill(dy, {Kind::kConstant, 0, 1, seed}); return;
    case Dy::kOutlier: fill(dy, {Kind::kHiddenOutlier, 0, 1, seed}); return;
    case Dy::kSmall: fill(dy, {Kind::kNormal, 1, 1e-25, seed}); return;
    case Dy::kLarge: fill(dy, {Kind::kNormal, 1, 1e25, seed}); return;
    case Dy::kLikeX:
    case Dy::kSparse: break;
    }
    Random random(seed);
    for (int64_t c = 0; c < x.channels(); c++) {
        const float mean = static_cast<float>(reference::statistics(x, HNORM_BATCH, c).mean);
        for (int64_t n = 0; n < x.samples(); n++)
            for (int64_t s = 0; s < x.positions(); s++)
                dy.at(n, c, s) = kind == Dy::kLikeX      ? x.at(n, c, s) - mean
                                 : random.index(16) == 0 ? static_cast<float>(random.normal())
                                                         : 0.0f;
    }
    dy.settle();
}

struct Totals {
    Worst dx, dgamma, dbeta;

    void print(const char *what) const {
        std::cout << what << ", worst errors:\n"
                  << "  dx      " << dx.error << " * max |gamma*invstd*dy|   " << dx.where << "\n"
                  << "  dgamma  " << dgamma.error << " * sum |dy*xhat|   " << dgamma.where << "\n"
                  << "  dbeta   " << dbeta.error << " * sum |dy|   " << dbeta.where << "\n";
    }
};

// dy where z, dense, is above 0, elsewhere the slope times it, in float.
Tensor before_activation(const std::vector<float> &z, const Tensor &dy, float slope) {
    Tensor dz(dy.shape());
    auto above = z.begin();
    for (int64_t n = 0; n < dy.samples(); n++)
        for (int64_t c = 0; c < dy.channels(); c++)
            for (int64_t s = 0; s < dy.positions(); s++)
                dz.at(n, c, s) = *above++ > 0 ? dy.at(n, c, s) : slope * dy.at(n, c, s);
    return dz;
}

// x, dy, dx of one shape; residual: null for none; where: what they hold.
void check(const Tensor &x, const Tensor &dy, Tensor &dx, const Affine &affine, const Post &post, double eps,
           const std::string &where, Totals &training_totals, Totals &frozen_totals) {
    const bool plain = post.activation.slope() == 1;
    Tensor y(x.shape());
    for (hnorm_group group : kGroups) {
        if (group_size(x, group) < 2) continue;
        const References of_x = references(x, group);
        References given = of_x;  // as a running mean and variance may be
        std::vector<double> given_mean, given_variance;
        for (reference::Statistics &statistics : given) {
            given_mean.push_back(static_cast<double>(statistics.mean + 0.3L));
            given_variance.push_back(static_cast<double>(1.7L * statistics.variance));
            statistics = {statistics.count, given_mean.back(), given_variance.back()};
        }
        for (bool frozen : {false, true}) {
            // The sign that decides is forward's: another, a rounding away, would be another
            // function's gradient. Behind a residual it is y's, as stored; without, z's, which may
            // be less than an element of 16 bits holds.
            MeanAndVariance used = {given_mean, given_variance};
            if (!plain && frozen) normalize(x, group, given_mean, given_variance, affine, eps, y, post);
            if (!plain && !frozen) used = forward(x, group, affine, eps, y, post);
            const std::vector<float> z = plain ? std::vector<float>()
                                         : post.residual
                                             ? elements(y)
                                             : transcribed_z(x, group, used.mean, used.variance, affine, eps);
            const reference::Gradients expected =
                reference_gradients(x, plain ? dy : before_activation(z, dy, post.activation.slope()), group,
                                    frozen ? given : of_x, frozen, affine, eps);
            for (const std::string &target : usable_targets()) {
                const Machine machine(target);
                const MeanAndVariance saved =
                    frozen ? MeanAndVariance{given_mean, given_variance} : forward(x, group, affine, eps, dx);
                const ParameterGradients found =
                    backward(&x, dy, group, saved.mean, saved.variance, affine, eps, frozen, &dx, Wanted::kBoth,
                             {post.activation, post.residual ? &y : nullptr, nullptr});
                const std::string place = std::string(frozen ? "normalize_backward/" : "backward/") +
                                          test::name(group) + " " + where + ", " + affine.describe() + ", " +
                                          post.activation.describe() + (post.residual ? ", residual, " : ", ") +
                                          machine.describe();
                const Worst worst = worst_dx(x, group, expected, dx);
                const Worst gamma =
                    worst_dgamma(x, group, found.dgamma, expected, saved.mean, frozen ? given : of_x, eps);
                const Worst beta = worst_dbeta(found.dbeta, expected);
                INFO(place << "\ndx " << worst.where << "\ndgamma " << gamma.where << "\ndbeta " << beta.where);
                CHECK(worst.error <= kGradientTolerance);
                CHECK(gamma.error <= kGradientTolerance);
                CHECK(beta.error <= kGradientTolerance);
                Totals &totals = frozen ? frozen_totals : training_totals;
                totals.dx.add(worst.error, place + " " + worst.where);
                totals.dgamma.add(gamma.error, place + " " + gamma.where);
                totals.dbeta.add(beta.error, place + " " + beta.where);
            }
        }
    }
}

void check_shapes(const std::string &planes, const std::vector<Shape> &shapes) {
    Totals training, frozen;
    uint64_t seed = 1;
    for (const Shape &shape : shapes) {
        for (Kind kind : kAllKinds) {
            for (double ratio : {0.0, 1.0, 30.0, 1e4}) {
                Tensor x(shape), dy(shape), dx(shape);
                const Recipe recipe{kind, ratio, 1, seed};
                fill(x, recipe);
                // each kind of dy meets each kind of x at some ratio and shape
                for (size_t i = seed % 3; i < std::size(kAllDy); i += 3) {
                    fill_dy(dy, kAllDy[i], x, seed + 1000);
                    const Affine affine(kAffineKinds[seed % std::size(kAffineKinds)], x, seed);
                    Tensor residual(shape);
                    fill(residual, {Kind::kNormal, 0, 1, seed + 2000});
                    const Post post = {kActivations[(seed + i) % std::size(kActivations)],
                                       seed % 4 == 0 ? &residual : nullptr};
                    check(x, dy, dx, affine, post, 1e-5,
                          x.describe() + ", " + recipe.describe() + ", " + name(kAllDy[i]), training, frozen);
                }
                seed++;
            }
        }
    }
    training.print((planes + " planes").c_str());
    frozen.print((planes + " planes, frozen statistics").c_str());
}

}  // namespace

TEST_CASE("gradients are within 2e-6 of the reference on tiny planes") {
    check_shapes("tiny", {{300, 2}, {130, 3, 3}, {70, 3, 2, 4}, {33, 5, 15}, {2, 40, 7}});
}

TEST_CASE("gradients are within 2e-6 of the reference on small planes") {
    check_shapes("small", {{70, 3, 16}, {33, 3, 7, 7}, {3, 3, 500}, {5, 2, 1008}, {3, 2, 32, 32}, {2, 40, 17}});
}

TEST_CASE("gradients are within 2e-6 of the reference on large planes") {
    check_shapes("large", {{3, 3, 1025}, {3, 2, 2048}, {2, 2, 4097}, {2, 1, 56, 56}, {1, 1, 120, 121}});
}

// sigma, whose square leaves float's range, of normal numbers of the type.
TEST_CASE("gradients are within 2e-6 of the reference at every magnitude of x") {
    Totals training, frozen;
    uint64_t seed = 1;
    for (const Shape &shape : std::vector<Shape>{{70, 3}, {33, 5, 15}, {33, 3, 7, 7}, {3, 2, 1025}}) {
        Tensor x(shape), dy(shape), dx(shape);
        const bool narrow_range = x.format().type == HNORM_F16;
        for (double scale :
             narrow_range ? std::vector<double>{1e3, 1e-3}
                          : std::vector<double>{1e37, 1e30, 1e25, 1e20, 1e18, 1e-18, 1e-20, 1e-25, 1e-30, 1e-36}) {
            for (double ratio : {0.0, 30.0}) {
                for (double eps : {0.0, 1e-5}) {
                    const Recipe recipe{seed % 2 ? Kind::kNormal : Kind::kTwoValued, ratio * scale < 1e37 ? ratio : 0,
                                        scale, seed};
                    fill(x, recipe);
                    fill_dy(dy, Dy::kNormal, x, seed + 1000);
                    const Affine affine(kAffineKinds[seed % std::size(kAffineKinds)], x, seed);
                    const Post post = {kActivations[seed % std::size(kActivations)], nullptr};
                    check(x, dy, dx, affine, post, eps,
                          x.describe() + ", " + recipe.describe() + ", eps " + std::to_string(eps), training, frozen);
                    seed++;
                }
            }
        }
    }
    training.print("every magnitude");
    frozen.print("every magnitude, frozen statistics");
}

// What the slope of dx in x, dy over the square of sigma, would be in float: 0, and infinite.
TEST_CASE("dx is right where the square of sigma is not a float") {
    const auto dx_of = [](float unit, double eps) {
        const float x[] = {unit, -unit, 2 * unit, -2 * unit}, dy[] = {1, 0, 0, 0};
        std::vector<float> y(4), dx(4);
        const int64_t shape[] = {4, 1};
        const hnorm_tensor of_x = hnorm_channels_first(const_cast<float *>(x), 2, shape),
                           of_y = hnorm_channels_first(y.data(), 2, shape);
        const hnorm_tensor of_dy = hnorm_channels_first(const_cast<float *>(dy), 2, shape),
                           of_dx = hnorm_channels_first(dx.data(), 2, shape);
        double mean = 0, variance = 0;
        REQUIRE(hnorm_forward(&of_x, HNORM_BATCH, nullptr, eps, nullptr, &of_y, &mean, &variance) == HNORM_OK);
        REQUIRE(hnorm_backward(&of_x, &of_dy, HNORM_BATCH, &mean, &variance, nullptr, eps, nullptr, &of_dx, nullptr,
                               nullptr) == HNORM_OK);
        return dx;
    };
    // sigma is sqrt(2.5) times the unit: dx = (dy - 1/4 - xhat*xhat[0]/4) / sigma = (13, -3, -9,
    // -1) / 20 / sigma.
    for (const auto &[unit, eps] :
         std::vector<std::pair<float, double>>{{1e25f, 1e-5}, {1e25f, 0}, {1e-20f, 0}, {1e-37f, 0}, {3e37f, 0}}) {
        const std::vector<float> dx = dx_of(unit, eps);
        const double parts[] = {13, -3, -9, -1}, sigma = std::sqrt(2.5) * static_cast<double>(unit);
        for (size_t i = 0; i < 4; i++) {
            INFO("unit " << unit << ", eps " << eps << ", dx[" << i << "] " << dx[i]);
            const double expected = parts[i] / 20 / sigma;
            CHECK(std::fabs(static_cast<double>(dx[i]) - expected) <= 1e-6 / sigma + 1e-45);
        }
    }
}
