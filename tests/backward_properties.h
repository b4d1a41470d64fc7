// What the tests of the gradients' properties share: shapes of every kind, and for each of them
// data and their gradients, on every target.
#pragma once

#include "catch.hpp"
#include "compare.h"
#include "expected.h"
#include "machine.h"

#include <string>
#include <vector>

namespace test {

// One or more of each class, rank and way of sharing the work.
inline const std::vector<Shape> kShapes = {{70, 5},         {33, 4, 3},       {9, 6, 15},     {20, 5, 7, 7},
                                           {6, 4, 2, 5, 5}, {3, 3, 32, 32},   {2, 3, 1025},   {1, 2, 200, 201},
                                           {1, 4, 9},       {300, 2, 14, 14}, {2, 70, 20, 21}};

// The inputs of the gradients: x, dy, and what forward gave.
struct Data {
    Tensor x, dy, dx;
    hnorm_group group;
    MeanAndVariance saved;
    double eps;

    Data(const Shape &shape, hnorm_group its_group, const Recipe &x_recipe, const Recipe &dy_recipe, double its_eps)
        : x(shape), dy(shape), dx(shape), group(its_group), eps(its_eps) {
        fill(x, x_recipe);
        fill(dy, dy_recipe);
        update();
    }
    void update() { saved = forward(x, group, Affine(AffineKind::kNone, x), eps, dx); }
    // Into dx.
    ParameterGradients gradients(const Affine &affine, bool frozen = false) {
        return backward(&x, dy, group, saved.mean, saved.variance, affine, eps, frozen, &dx);
    }
    size_t group_index(int64_t n, int64_t c) const { return static_cast<size_t>(group_of(x, group, n, c)); }
};

inline const Recipe kX = {Kind::kNormal, 2, 1, 41}, kDy = {Kind::kNormal, 0.3, 1, 42};

// Calls check(data, where) for every shape, target, thread count 1 and 3, and group, with normal x
// and dy.
template <typename Check>
void for_each(double eps, Check check) {
    for (const Shape &shape : kShapes) {
        for (const std::string &target : targets_for_properties()) {
            for (int threads : {1, 3}) {
                const Machine machine(target, threads);
                for (hnorm_group group : kGroups) {
                    if (group_size(Tensor(shape), group) < 2) continue;
                    Data data(shape, group, kX, kDy, eps);
                    check(data, std::string(name(group)) + " " + to_string(shape) + ", " + machine.describe());
                }
            }
        }
    }
    SUCCEED();
}

inline void require_same(const std::string &difference, const std::string &where) {
    if (!difference.empty()) FAIL(where << ": " << difference);
}

inline void require_same(const ParameterGradients &actual, const ParameterGradients &expected,
                         const std::string &where) {
    require_same(difference("dgamma", actual.dgamma, expected.dgamma), where);
    require_same(difference("dbeta", actual.dbeta, expected.dbeta), where);
}

}  // namespace test
