// The gradients give the bits of the plain serial transcription of docs/order.md, "Backward", for every target and number of
// threads, through the public interface. (test_kernels.cpp: each kernel by itself.)
#include "cases.h"
#include "catch.hpp"
#include "compare.h"
#include "expected.h"
#include "machine.h"

#include <string>
#include <vector>

using namespace test;

namespace {

// Every class of magnitude: within float's range, beyond it on either side, zero, and all of them at once.
Case varied_dy(uint64_t seed) {
    constexpr double kScales[] = {1, 1, 1e-25, 1e30, 0, 1, 1, 1};
    Random random(seed);
    const int64_t way = random.index(8);
    Case result;
    result.mixed = way >= 5;
    result.recipe = {kAllKinds[random.index(kKinds)], random.index(2) ? 3.0 : 0.0, kScales[way], seed + 5000};
    return result;
}

struct Given {
    std::vector<double> mean, variance;
    bool frozen;
};

void require_same(const std::string &where, const std::string &difference) {
    if (!difference.empty()) FAIL(where << ": " << difference);
}

// What forward did after normalizing, and what the transcription says of the gradients behind it.
struct Expected {
    Activation activation;
    bool residual;
    Tensor y;               // forward's, where there was a residual
    std::vector<float> dz;  // dense
    TranscribedGradients gradients;

    Expected(const Case &test_case, const Tensor &x, const Tensor &dy, hnorm_group group, const Given &given,
             const Affine &affine)
        : activation(test_case.activation), residual(test_case.residual), y(test_case.shape, {3, 1, false}) {
        Tensor added(test_case.shape);
        test::fill(added, {Kind::kNormal, 0, 1, test_case.recipe.seed + 9000});
        // The sign of z itself, or of y as it was stored; dz likewise.
        const std::vector<float> sign =
            residual ? transcribed_normalize(x, group, given.mean, given.variance, affine, test_case.eps,
                                             {activation, &added})
                     : transcribed_z(x, group, given.mean, given.variance, affine, test_case.eps);
        y.set_exact(sign);
        dz = transcribed_gate(dy, sign, activation);
        Tensor gated(test_case.shape);
        if (residual) {
            gated.set_elements(dz);
            dz = gated.values();
        } else {
            gated.set_exact(dz);
        }
        gradients = transcribed_gradients(x, gated, group, given.mean, given.variance, affine, test_case.eps,
                                          given.frozen, !residual && activation.slope() != 1);
    }
};

void check_gradients(const Tensor &x, const Tensor &dy, Tensor &dx, hnorm_group group, const Given &given,
                     const Affine &affine, double eps, const Expected &all, bool in_place, const std::string &where) {
    const TranscribedGradients &expected = all.gradients;
    Tensor dresidual(x.shape(), {2, 0, true});
    const auto check = [&](const Tensor *from_x, const Tensor &from_dy, const std::string &place,
                           Tensor *to_dresidual = nullptr) {
        const PostGradient post = {all.activation, all.residual ? &all.y : nullptr, to_dresidual};
        const ParameterGradients found = backward(from_x, from_dy, group, given.mean, given.variance, affine, eps,
                                                  given.frozen, &dx, Wanted::kBoth, post);
        require_same(where + place, difference(dx, expected.dx));
        if (to_dresidual) require_same(where + place + ", dresidual", difference(*to_dresidual, all.dz));
        require_same(where + place, difference("dgamma", found.dgamma, expected.parameters.dgamma));
        require_same(where + place, difference("dbeta", found.dbeta, expected.parameters.dbeta));
    };
    const auto in_dx = [&](const Tensor &other) -> const Tensor & {
        dx.clear();
        dx.copy_elements(other);
        return dx;
    };
    check(&x, dy, "");
    if (all.residual) check(&x, dy, ", with dresidual", &dresidual);
    if (!in_place) return;
    check(&x, in_dx(dy), ", dx is dy");
    check(&in_dx(x), dy, ", dx is x");
    if (!all.residual) return;
    check(&x, in_dx(dy), ", dx is dy, with dresidual", &dresidual);
    check(&in_dx(x), dy, ", dx is x, with dresidual", &dresidual);
    dresidual.copy_elements(dy);
    check(&x, dresidual, ", dresidual is dy", &dresidual);
}

// All four functions, both groups, out of place and in place, all targets, 1, 2, 3 and 7 threads.
void check_with(const Case &test_case, const Case &dy_case) {
    Tensor x(test_case.shape, test_case.padding), dy(test_case.shape, test_case.other_padding());
    Tensor dx(test_case.shape, {test_case.padding.n, test_case.padding.c, test_case.padding.at_end});
    test_case.fill(x);
    dy_case.fill(dy);
    const Affine affine(test_case.affine, x, test_case.recipe.seed);
    const double eps = test_case.eps;

    for (hnorm_group group : kGroups) {
        const Statistics moments = transcribed_moments(x, group);
        Given own{moments.mean, variances(moments), false}, frozen = own;
        std::vector<double> total;  // as if another machine had as much again
        for (size_t g = 0; g < own.mean.size(); g++) {
            frozen.mean[g] += 0.3;
            frozen.variance[g] *= 1.7;
            total.push_back(2 * moments.count[g]);
        }
        frozen.frozen = true;
        const Sums sums = transcribed_sums(x, dy, group, own.mean);
        const bool can_apply = group == HNORM_INSTANCE || affine.kind != AffineKind::kSampleAndChannel;
        const std::vector<float> applied =
            can_apply ? transcribed_dx(x, dy, group, total, own.mean, own.variance,
                                       transcribed_weights(x, group, sums, affine), affine, eps)
                      : std::vector<float>();
        const Expected of_own(test_case, x, dy, group, own, affine);
        const Expected of_frozen(test_case, x, dy, group, frozen, affine);

        for (const std::string &target : usable_targets()) {
            for (int threads : thread_counts()) {
                const Machine machine(target, threads);
                const std::string where = std::string("/") + name(group) + " " + test_case.describe(x) + ", dy " +
                                          dy_case.describe(dy) + ", " + affine.describe() + ", " + machine.describe();
                INFO(where);
                const Sums found = backward_reduce(x, dy, group, own.mean);
                require_same("backward_reduce" + where, difference("sum of dy", found.dy, sums.dy));
                require_same("backward_reduce" + where, difference("sum of dy*(x - mean)", found.dy_xmu, sums.dy_xmu));
                if (can_apply) {
                    backward_apply(x, dy, group, total, own.mean, own.variance, sums, affine, eps, dx);
                    require_same("backward_apply" + where, difference(dx, applied));
                }
                const bool in_place = threads == 1 || threads == 3;
                if (group_size(x, group) > 1)
                    check_gradients(x, dy, dx, group, own, affine, eps, of_own, in_place, "backward" + where);
                check_gradients(x, dy, dx, group, frozen, affine, eps, of_frozen, in_place,
                                "normalize_backward" + where);
            }
        }
    }
    SUCCEED();
}

void check_case(const Case &test_case) { check_with(test_case, varied_dy(test_case.recipe.seed)); }

}  // namespace

TEST_CASE("gradients of tiny planes, 1 to 15 positions, have the transcription's bits") {
    std::vector<int64_t> list;
    for (int64_t S = 1; S < 16; S++) list.push_back(S);
    check_positions(list, 20'000, 8, check_case);
}

TEST_CASE("gradients of small planes, 16 to 1024 positions, have the transcription's bits") {
    check_positions({16,  17,  18,  31,  32,  33,  47,  48,  49,  63,  64,  65,   79,   80,   81,
                     196, 255, 256, 257, 511, 512, 513, 527, 528, 529, 543, 1008, 1009, 1023, 1024},
                    20'000, 4, check_case);
}

TEST_CASE("gradients of large planes, from 1025 positions, have the transcription's bits") {
    check_positions({1025, 1087, 1088, 1089, 2047, 2048, 2049, 2111, 2112, 2113, 4095, 4096, 4097, 8193, 12'544},
                    40'000, 3, check_case);
}

TEST_CASE("gradients of few groups, where threads work inside a group, have the transcription's bits") {
    const std::vector<Shape> shapes = {{1, 1, 300, 1024}, {1, 3, 409, 211},  {64, 1, 71, 71}, {700, 2, 14, 14},
                                       {6000, 1, 7, 7},   {40'000, 1, 3, 3}, {90'001, 2}};
    REQUIRE(classes_shared(shapes, GroupCount::kFew) == kAllClasses);
    for (size_t i = 0; i < shapes.size(); i++) check_case(varied(shapes[i], i + 3));
}

TEST_CASE("gradients of many groups, where threads share the groups, have the transcription's bits") {
    const std::vector<Shape> shapes = {{2, 70, 41, 43}, {32, 65, 14, 14}, {8, 257, 7, 7},
                                       {5, 513, 3, 3},  {64, 1025},       {3, 2100, 5, 5}};
    REQUIRE(classes_shared(shapes, GroupCount::kMany) == kAllClasses);
    for (size_t i = 0; i < shapes.size(); i++) check_case(varied(shapes[i], i + 102));
}

TEST_CASE("gradients of ranks 2 to 5 with padded strides have the transcription's bits") {
    check_padded({{1, 1},
                  {17, 70},
                  {611, 3},
                  {550, 15, 1, 1},
                  {4, 3, 29},
                  {2, 5, 1, 1},
                  {1, 2, 33, 65},
                  {3, 2, 5, 7, 11},
                  {2, 3, 1, 40, 1}},
                 {Padding{0, 0, false}, Padding{1, 0, true}, Padding{16, 64, true}}, check_case);
}

TEST_CASE("gradients of groups beyond float's range, NaN and infinities have the transcription's bits") {
    check_mixed({{70, 9, 1},
                 {70, 9, 3},
                 {9, 9, 15},
                 {70, 9, 16},
                 {33, 8, 49},
                 {3, 9, 1000},
                 {2, 9, 4097},
                 {5, 70, 7, 7},
                 {20, 5, 70, 70}},
                check_case);
}

TEST_CASE("gradients whose sums of dy alone come near float's range, or leave it, have the transcription's bits") {
    uint64_t seed = 2000;
    for (const Shape &shape :
         std::vector<Shape>{{70, 9, 1}, {70, 9, 3}, {9, 9, 15}, {70, 9, 16}, {33, 8, 49}, {3, 5, 1000}, {2, 3, 4097}}) {
        for (const auto &[scale, ratio] : std::vector<std::pair<double, double>>{{1e36, 0}, {5e36, 0}, {3e36, 3}}) {
            Case test_case = varied(shape, seed++), dy_case;
            test_case.mixed = false;
            dy_case.recipe = {Kind::kNormal, ratio, scale, seed};
            // Constant x leaves no deviation that a scale could follow from.
            for (const Recipe &recipe :
                 {Recipe{Kind::kNormal, 0, 1e-6, seed}, Recipe{Kind::kConstant, 0, 1e10, seed}}) {
                test_case.recipe = recipe;
                check_with(test_case, dy_case);
            }
        }
    }
}
