// What a layer keeps of its groups, which kernels of devices update as they make the groups' sums:
// running statistics, and the gradients of gamma and beta. Of a layer that has none, or that has
// one for several groups, the caller ignores these results.
#pragma once

#include "gradients.h"

namespace hnorm {

struct KeptStatistics {
    GeneratorInput<Buffer<double, 2>> running_mean{"running_mean"}, running_variance{"running_variance"};
    GeneratorInput<double> weight_before{"weight_before"}, weight{"weight"}, correction{"correction"};

    // Those after a step with these statistics of a group.
    std::vector<Expr> after(const Expr &mean, const Expr &variance, const Products &times) const {
        const Axes v;
        const auto of = [&](const GeneratorInput<Buffer<double, 2>> &running, const Expr &value) {
            return running_after(running(v.g0, v.g1), value, weight_before, weight, times);
        };
        const Expr none = cast<double>(0);  // the sum of one sample's statistics, as `track` has it
        return {of(running_mean, none + mean), of(running_variance, (none + variance) * correction)};
    }
};

struct KeptGradients {
    GeneratorInput<Buffer<float, 2>> dgamma{"dgamma"}, dbeta{"dbeta"};
    GeneratorInput<int32_t> keep{"keep"};  // 1 to add to these, 0 to replace them

    std::vector<Expr> after(const Expr &sum_dy, const Expr &sum_dy_xmu, const Expr &variance, const Expr &eps,
                            const Products &times) const {
        const Axes v;
        return {gradient_after(dgamma(v.g0, v.g1), times(sum_dy_xmu, invstd(variance, eps)), keep),
                gradient_after(dbeta(v.g0, v.g1), sum_dy, keep)};
    }
};

// The values of several tuples, as one.
inline Tuple joined(std::initializer_list<std::vector<Expr>> tuples) {
    std::vector<Expr> all;
    for (const std::vector<Expr> &tuple : tuples) all.insert(all.end(), tuple.begin(), tuple.end());
    return Tuple(all);
}

}  // namespace hnorm
