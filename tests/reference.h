// Batch and instance norm from their definitions, in long double over strided (N, C, S) tensors:
// what the results should be near to. Written without looking at the kernels' order: two plain
// passes over each group.
#pragma once

#include "tensor.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace reference {

struct Statistics {
    int64_t count = 0;
    long double mean = 0;
    long double variance = 0;  // biased
};

inline int64_t groups(const test::Tensor &x, hnorm_group group) {
    return group == HNORM_BATCH      ? x.channels()
           : group == HNORM_INSTANCE ? x.samples() * x.channels()
                                     : x.samples() * (group - HNORM_GROUPS);
}

// Calls visit(n, c, s) for every element of group g (hnorm.h: c for batch, n*C + c for instance,
// n*G + g for groups).
template <typename Visit>
void for_each_in_group(const test::Tensor &x, hnorm_group group, int64_t g, Visit visit) {
    const int64_t of_sample = group == HNORM_BATCH ? x.channels() : groups(x, group) / x.samples();
    const int64_t together = x.channels() / of_sample, first = group == HNORM_BATCH ? 0 : g / of_sample;
    const int64_t last = group == HNORM_BATCH ? x.samples() : first + 1;
    for (int64_t n = first; n < last; n++)
        for (int64_t c = g % of_sample * together; c < (g % of_sample + 1) * together; c++)
            for (int64_t s = 0; s < x.positions(); s++) visit(n, c, s);
}

inline Statistics statistics(const test::Tensor &x, hnorm_group group, int64_t g) {
    Statistics result;
    long double sum = 0;
    for_each_in_group(x, group, g, [&](int64_t n, int64_t c, int64_t s) {
        sum += static_cast<long double>(x.at(n, c, s));
        result.count++;
    });
    if (result.count == 0) return result;
    result.mean = sum / static_cast<long double>(result.count);
    long double squares = 0;
    for_each_in_group(x, group, g, [&](int64_t n, int64_t c, int64_t s) {
        const long double deviation = static_cast<long double>(x.at(n, c, s)) - result.mean;
        squares += deviation * deviation;
    });
    result.variance = squares / static_cast<long double>(result.count);
    return result;
}

// 0 of a constant group without eps, which gives beta.
inline long double invstd(long double variance, double eps) {
    const long double total = variance + static_cast<long double>(eps);
    return total == 0 ? 0 : 1 / std::sqrt(total);
}

// The gradients of a loss with respect to x, gamma and beta, dy being the gradient at y =
// gamma*xhat + beta.
struct Gradients {
    std::vector<long double> dx;             // dense
    std::vector<long double> dgamma, dbeta;  // one a channel, or N*C where gamma and beta are per sample
    // What errors are measured by: max |gamma*invstd*dy| of each group; sums of |dy*xhat| and |dy|,
    // as dgamma and dbeta.
    std::vector<long double> greatest, dgamma_size, dbeta_size;
};

// statistics: of each group, those of x (statistics()), which change with x, or frozen ones.
// gamma(n, c).
template <typename Gamma>
Gradients gradients(const test::Tensor &x, const test::Tensor &dy, hnorm_group group,
                    const std::vector<Statistics> &statistics, bool frozen, Gamma gamma, bool per_sample, double eps) {
    const size_t parameters = static_cast<size_t>(per_sample ? x.samples() * x.channels() : x.channels());
    Gradients result;
    result.dx.resize(static_cast<size_t>(x.size()));
    for (std::vector<long double> *list : {&result.dgamma, &result.dbeta, &result.dgamma_size, &result.dbeta_size})
        list->resize(parameters);
    for (int64_t g = 0; g < groups(x, group); g++) {
        const Statistics &of_group = statistics[static_cast<size_t>(g)];
        const long double invstd = reference::invstd(of_group.variance, eps);
        const auto xhat = [&](int64_t n, int64_t c, int64_t s) { return (x.at(n, c, s) - of_group.mean) * invstd; };
        const auto dxhat = [&](int64_t n, int64_t c, int64_t s) {
            return static_cast<long double>(gamma(n, c)) * dy.at(n, c, s);
        };
        long double mean_dxhat = 0, mean_dxhat_xhat = 0, greatest = 0;
        for_each_in_group(x, group, g, [&](int64_t n, int64_t c, int64_t s) {
            const size_t p = static_cast<size_t>(per_sample ? n * x.channels() + c : c);
            const long double to_gamma = dy.at(n, c, s) * xhat(n, c, s), to_beta = dy.at(n, c, s);
            result.dgamma[p] += to_gamma;
            result.dgamma_size[p] += std::fabs(to_gamma);
            result.dbeta[p] += to_beta;
            result.dbeta_size[p] += std::fabs(to_beta);
            mean_dxhat += dxhat(n, c, s) / static_cast<long double>(of_group.count);
            mean_dxhat_xhat += dxhat(n, c, s) * xhat(n, c, s) / static_cast<long double>(of_group.count);
            greatest = std::max(greatest, std::fabs(dxhat(n, c, s) * invstd));
        });
        result.greatest.push_back(greatest);
        for_each_in_group(x, group, g, [&](int64_t n, int64_t c, int64_t s) {
            const long double through_statistics = frozen ? 0 : mean_dxhat + xhat(n, c, s) * mean_dxhat_xhat;
            result.dx[static_cast<size_t>((n * x.channels() + c) * x.positions() + s)] =
                invstd * (dxhat(n, c, s) - through_statistics);
        });
    }
    return result;
}

}  // namespace reference
