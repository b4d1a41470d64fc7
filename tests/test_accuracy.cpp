// Errors against the reference in long double, for every kind of data, |mean|/sigma from 0 to
// 100,000, every class of planes and every target. The worst ones are printed: run with --success,
// or ctest -V -R accuracy.
#include "accuracy.h"
#include "catch.hpp"
#include "machine.h"

#include <iostream>
#include <string>
#include <vector>

using namespace test;

namespace {

struct Totals {
    Worst y, mean, variance;
};

void check_shape(const Shape &shape, AffineKind affine_kind, uint64_t &seed, Totals &totals) {
    for (Kind kind : kAllKinds) {
        for (double ratio : {0.0, 1.0, 30.0, 1e3, 1e5}) {
            Tensor x(shape), y(shape);
            const Recipe recipe{kind, ratio, 1, seed++};
            fill(x, recipe);
            const Affine affine(affine_kind, x, recipe.seed);
            Tensor residual(shape);
            fill(residual, {Kind::kNormal, 1, 1, recipe.seed + 500});
            const Post post = {kActivations[recipe.seed % std::size(kActivations)],
                               recipe.seed % 3 == 0 ? &residual : nullptr};
            for (hnorm_group group : kGroups) {
                if (group_size(x, group) < 2) continue;
                const References expected = references(x, group);
                for (const std::string &target : usable_targets()) {
                    const Machine machine(target);
                    const std::string where = std::string("forward/") + name(group) + " " + x.describe() + ", " +
                                              recipe.describe() + ", " + affine.describe() + ", " +
                                              post.activation.describe() + (post.residual ? ", residual, " : ", ") +
                                              machine.describe();
                    const MeanAndVariance saved = forward(x, group, affine, 1e-5, y, post);
                    const Worst worst = worst_y(x, group, expected, affine, 1e-5, y, NonFinite::kWrong, post);
                    const Worst mean = worst_mean(expected, saved.mean);
                    const Worst variance = worst_variance(expected, saved.variance);
                    INFO(where << "\n" << worst.where);
                    CHECK(worst.error <= kKindsTolerance);
                    CHECK(mean.error <= kMeanBound);
                    CHECK(variance.error <= kM2Bound);
                    totals.y.add(worst.error, where + " " + worst.where);
                    totals.mean.add(mean.error, where);
                    totals.variance.add(variance.error, where);
                }
            }
        }
    }
}

void check_shapes(const char *planes, const std::vector<Shape> &shapes) {
    Totals totals;
    uint64_t seed = 1;
    for (size_t i = 0; i < shapes.size(); i++) check_shape(shapes[i], kAffineKinds[i % 3], seed, totals);
    std::cout << planes << " planes, worst errors:\n"
              << "  y         " << totals.y.error << " * max(1, |gamma*xhat| + |beta|)   " << totals.y.where << "\n"
              << "  mean      " << totals.mean.error << " * sigma   " << totals.mean.where << "\n"
              << "  variance  " << totals.variance.error << " relative   " << totals.variance.where << "\n";
}

}  // namespace

TEST_CASE("forward is within 4e-7 of the reference on tiny planes") {
    check_shapes("tiny", {{300, 2}, {130, 3, 3}, {70, 3, 2, 4}, {33, 5, 15}, {2, 40, 7}});
}

TEST_CASE("forward is within 4e-7 of the reference on small planes") {
    check_shapes("small",
                 {{70, 3, 16}, {33, 3, 7, 7}, {16, 3, 14, 14}, {3, 3, 500}, {5, 2, 1008}, {5, 2, 32, 32}, {2, 40, 17}});
}

TEST_CASE("forward is within 4e-7 of the reference on large planes") {
    check_shapes("large",
                 {{3, 3, 1025}, {3, 2, 2048}, {2, 2, 4097}, {2, 3, 56, 56}, {1, 2, 112, 112}, {1, 1, 300, 301}});
}
