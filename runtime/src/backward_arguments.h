// The arguments of backward's operations (docs/order.md, "Backward"), validated as forward's are
// (forward.h).
#pragma once

#include "call_log.h"
#include "kernels.h"
#include "values.h"

namespace hnorm::detail {

// The sums of backward, of dy and of dy*(x - mean): one a group of `group`, dense.
struct GroupSums {
    double *dy, *dy_xmu;
    Grouping group;
};

// hnorm_backward, and hnorm_normalize_backward, for which the statistics are constants
struct Backward {
    static constexpr Operation kOperation = kBackward;
    CheckedTensor x, dy;
    const CheckedTensor *dx;  // null: not wanted
    Grouping group;
    Normalization by;       // null statistics: those of x (compute_backward_of_batch alone)
    bool per_sample;        // there are N*C gammas and betas, and as many gradients; else C
    float *dgamma, *dbeta;  // null: not wanted
    bool add = false;       // to what dgamma and dbeta hold
    float slope = 1;        // of the activation
    // If a residual was added and there is an activation: y of forward, which has its sign.
    const CheckedTensor *y = nullptr;
    const CheckedTensor *dresidual = nullptr;  // null: not wanted

    bool has_residual() const { return y || dresidual; }
    bool wants_parameters() const { return dgamma || dbeta; }
    int64_t parameters() const { return per_sample ? dy.n * dy.c : dy.c; }
    // The groups whose sums are computed. They are the groups of the statistics, or smaller ones
    // where a group has several gammas.
    Grouping summed() const {
        return per_sample || group.together > 1 ? Grouping{HNORM_INSTANCE, 1} : Grouping{group.by, 1};
    }
    CallKind kind(Computes computes = Computes::kBackward) const {
        return {computes, x, dx ? dx->data : nullptr, group, slope != 1, has_residual()};
    }
};

// hnorm_backward_reduce
struct BackwardReduce {
    static constexpr Operation kOperation = kBackward;
    CheckedTensor x, dy;
    Values<double> mean;
    GroupSums sums;

    CallKind kind() const { return {Computes::kBackwardReduce, x, nullptr, sums.group}; }
};

// hnorm_backward_apply
struct BackwardApply {
    static constexpr Operation kOperation = kBackward;
    CheckedTensor x, dy;
    Normalization by;
    GroupSums sums;
    Values<double> count;  // elements of each group
    CheckedTensor dx;

    CallKind kind() const { return {Computes::kBackwardApply, x, dx.data, sums.group}; }
};

// hnorm_activation_backward
struct ActivationBackward {
    static constexpr Operation kOperation = kBackward;
    CheckedTensor y, dy;
    float slope;
    CheckedTensor dz;

    CallKind kind() const { return {Computes::kActivationBackward, y, dz.data, {}}; }
};

}  // namespace hnorm::detail
