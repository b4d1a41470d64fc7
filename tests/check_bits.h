// The bits of every function on a case against the transcription's, on every target and number of
// threads, through the public interface. (test_kernels.cpp: each kernel by itself.)
#pragma once

#include "cases.h"
#include "catch.hpp"
#include "compare.h"
#include "expected.h"
#include "machine.h"

#include <string>
#include <vector>

namespace test {

inline void require_same(const std::string &where, const std::string &difference) {
    if (!difference.empty()) FAIL(where << ": " << difference);
}

using Groups = std::vector<hnorm_group>;
inline const Groups kBothGroups(std::begin(kGroups), std::end(kGroups));

// All three functions, these groups, out of place and in place, all targets, 1, 2, 3 and 7 threads.
inline void check_forward_bits_of(const Groups &groups, const Case &test_case) {
    Tensor x(test_case.shape, test_case.padding), y(test_case.shape, test_case.other_padding());
    test_case.fill(x);
    Tensor residual(test_case.shape, {test_case.padding.n % 5, test_case.padding.c % 3, test_case.padding.at_end});
    fill(residual, {Kind::kNormal, 0, 1, test_case.recipe.seed + 9000});
    const Post post = {test_case.activation, test_case.residual ? &residual : nullptr};
    const Affine affine(test_case.affine, x, test_case.recipe.seed);
    const double eps = test_case.eps;

    for (hnorm_group group : groups) {
        const Statistics expected = transcribed_moments(x, group);
        const std::vector<double> variance = variances(expected);
        const std::vector<float> expected_y =
            transcribed_normalize(x, group, expected.mean, variance, affine, eps, post);
        // normalize with statistics that are not those of x, as in evaluation
        std::vector<double> other_mean, other_variance;
        for (size_t g = 0; g < variance.size(); g++) {
            other_mean.push_back(expected.mean[g] + 0.3);
            other_variance.push_back(variance[g] * 1.7);
        }
        const std::vector<float> expected_other =
            transcribed_normalize(x, group, other_mean, other_variance, affine, eps, post);

        for (const std::string &target : usable_targets()) {
            for (int threads : thread_counts(test_case.recipe.seed)) {
                const Machine machine(target, threads);
                const std::string where = std::string("/") + name(group) + " " + test_case.describe(x) + ", " +
                                          affine.describe() + ", " + machine.describe();
                INFO(where);

                const Statistics actual = moments(x, group);
                require_same("moments" + where, difference("count", actual.count, expected.count));
                require_same("moments" + where, difference("mean", actual.mean, expected.mean));
                require_same("moments" + where, difference("M2", actual.m2, expected.m2));

                normalize(x, group, other_mean, other_variance, affine, eps, y, post);
                require_same("normalize" + where, difference(y, expected_other));

                if (group_size(x, group) > 1) {
                    const MeanAndVariance saved = forward(x, group, affine, eps, y, post);
                    require_same("forward" + where, difference(y, expected_y));
                    require_same("forward" + where, difference("mean", saved.mean, expected.mean));
                    require_same("forward" + where, difference("variance", saved.variance, variance));
                }
                if (threads == 1 || threads == 3) {
                    y.clear();
                    y.copy_elements(x);
                    normalize(y, group, other_mean, other_variance, affine, eps, y, post);
                    require_same("normalize in place" + where, difference(y, expected_other));
                    if (post.residual) {
                        y.clear();
                        y.copy_elements(residual);
                        normalize(x, group, other_mean, other_variance, affine, eps, y, {post.activation, &y});
                        require_same("normalize in place of the residual" + where, difference(y, expected_other));
                    }
                    if (group_size(x, group) > 1) {
                        y.clear();
                        y.copy_elements(x);
                        forward(y, group, affine, eps, y, post);
                        require_same("forward in place" + where, difference(y, expected_y));
                        if (post.residual) {
                            y.clear();
                            y.copy_elements(residual);
                            forward(x, group, affine, eps, y, {post.activation, &y});
                            require_same("forward in place of the residual" + where, difference(y, expected_y));
                        }
                    }
                }
            }
        }
    }
    SUCCEED();
}

// Every class of magnitude: within float's range, beyond it on either side, zero, and all of them
// at once.
inline Case varied_dy(uint64_t seed) {
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

// What forward did after normalizing, and what the transcription says of the gradients behind it.
struct Expected {
    Activation activation;
    bool residual;
    Tensor y;                                 // forward's, where there was a residual
    std::vector<float> dz;                    // dense
    TranscribedGradients gradients, rounded;  // rounded: where dz is wanted, as elements

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
        gated.set_exact(dz);
        const auto behind = [&](bool sign_of_x) {
            return transcribed_gradients(x, gated, group, given.mean, given.variance, affine, test_case.eps,
                                         given.frozen, sign_of_x);
        };
        gradients = behind(!residual && activation.slope() != 1);
        if (!residual) return;
        gated.set_elements(dz);
        dz = gated.values();
        rounded = behind(false);
    }
};

inline void check_gradients(const Tensor &x, const Tensor &dy, Tensor &dx, hnorm_group group, const Given &given,
                            const Affine &affine, double eps, const Expected &all, bool in_place,
                            const std::string &where) {
    Tensor dresidual(x.shape(), {2, 0, true});
    const auto check = [&](const Tensor *from_x, const Tensor &from_dy, const std::string &place,
                           Tensor *to_dresidual = nullptr) {
        const TranscribedGradients &expected = to_dresidual ? all.rounded : all.gradients;
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

// All four functions, these groups, out of place and in place, all targets, 1, 2, 3 and 7 threads.
// Those of sums take no groups of channels.
inline void check_backward_bits_of(const Groups &groups, const Case &test_case, const Case &dy_case) {
    Tensor x(test_case.shape, test_case.padding), dy(test_case.shape, test_case.other_padding());
    Tensor dx(test_case.shape, {test_case.padding.n, test_case.padding.c, test_case.padding.at_end});
    test_case.fill(x);
    dy_case.fill(dy);
    const Affine affine(test_case.affine, x, test_case.recipe.seed);
    const double eps = test_case.eps;

    for (hnorm_group group : groups) {
        const Statistics moments = transcribed_moments(x, group);
        Given own{moments.mean, variances(moments), false}, frozen = own;
        std::vector<double> total;  // as if another machine had as much again
        for (size_t g = 0; g < own.mean.size(); g++) {
            frozen.mean[g] += 0.3;
            frozen.variance[g] *= 1.7;
            total.push_back(2 * moments.count[g]);
        }
        frozen.frozen = true;
        const bool has_sums = groups_of_sample(group) == 0;
        const Sums sums = has_sums ? transcribed_sums(x, dy, group, own.mean) : Sums();
        const bool can_apply = has_sums && (group == HNORM_INSTANCE || affine.kind != AffineKind::kSampleAndChannel);
        const std::vector<float> applied =
            can_apply ? transcribed_dx(x, dy, group, total, own.mean, own.variance,
                                       transcribed_weights(x, group, sums, affine), affine, eps)
                      : std::vector<float>();
        const Expected of_own(test_case, x, dy, group, own, affine);
        const Expected of_frozen(test_case, x, dy, group, frozen, affine);

        for (const std::string &target : usable_targets()) {
            for (int threads : thread_counts(test_case.recipe.seed)) {
                const Machine machine(target, threads);
                const std::string where = std::string("/") + name(group) + " " + test_case.describe(x) + ", dy " +
                                          dy_case.describe(dy) + ", " + affine.describe() + ", " + machine.describe();
                INFO(where);
                if (has_sums) {
                    const Sums found = backward_reduce(x, dy, group, own.mean);
                    require_same("backward_reduce" + where, difference("sum of dy", found.dy, sums.dy));
                    require_same("backward_reduce" + where,
                                 difference("sum of dy*(x - mean)", found.dy_xmu, sums.dy_xmu));
                }
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

// The same of batch and instance norm.
inline void check_forward_bits(const Case &test_case) { check_forward_bits_of(kBothGroups, test_case); }
inline void check_backward_bits(const Case &test_case, const Case &dy_case) {
    check_backward_bits_of(kBothGroups, test_case, dy_case);
}
inline void check_backward_bits(const Case &test_case) {
    check_backward_bits(test_case, varied_dy(test_case.recipe.seed));
}

}  // namespace test
