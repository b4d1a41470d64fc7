// Errors of results against the reference, in units of what is allowed.
#pragma once

#include "calls.h"
#include "reference.h"

#include <algorithm>
#include <cmath>
#include <sstream>
#include <string>
#include <vector>

namespace test {

// y may be wrong by this much, times max(1, |gamma*xhat| + |beta|).
constexpr double kTolerance = 5e-7;

// Worst-case bounds that follow from the order (docs/order.md), u = 2^-24. A lane adds at most 32 terms and the tree 6
// more, so a chunk's sum of n terms d is wrong by at most 38 u sum|d|, and d = x - c itself by u|d|: the mean of a
// chunk, c + e/n, is wrong by 39 u mean|d|, and mean|d| <= sqrt(mean d^2). All else is in double. The same for q, with one
// more rounding for the square; the deviations of the chunks' means, wrong by 39 u sigma_k each, add as much again:
// 2 |deviation| sigma_k <= deviation^2 + sigma_k^2. c is within u|mean| of the chunk's mean, and d is taken from c.
constexpr double kUnit = 0x1p-24;
constexpr double kMeanBound = 39 * kUnit;    // times sigma
constexpr double kM2Bound = 2 * 40 * kUnit;  // times M2

using References = std::vector<reference::Statistics>;

inline References references(const Tensor &x, hnorm_group group) {
    References result;
    for (int64_t g = 0; g < reference::groups(x, group); g++) result.push_back(reference::statistics(x, group, g));
    return result;
}

struct Worst {
    double error = 0;  // in units of max(1, |gamma*xhat| + |beta|), sigma or M2
    std::string where = "nowhere";

    void add(double candidate, const std::string &place) {
        if (candidate <= error) return;  // a NaN is worse than anything
        error = std::isnan(candidate) ? HUGE_VAL : candidate;
        where = place;
    }
};

enum class NonFinite { kWrong, kAllowed };

// The worst error of y = forward(x). Non-finite results count as infinitely wrong unless allowed.
inline Worst worst_y(const Tensor &x, hnorm_group group, const References &statistics, const Affine &affine, double eps,
                     const Tensor &y, NonFinite non_finite = NonFinite::kWrong) {
    Worst worst;
    for (int64_t n = 0; n < x.samples(); n++) {
        for (int64_t c = 0; c < x.channels(); c++) {
            const reference::Statistics &group_statistics = statistics[static_cast<size_t>(group_of(x, group, n, c))];
            const long double gamma = affine.gamma(n, c), beta = affine.beta(n, c);
            const long double invstd = 1 / std::sqrt(group_statistics.variance + static_cast<long double>(eps));
            const float *plane = x.plane(n, c), *result = y.plane(n, c);
            for (int64_t s = 0; s < x.positions(); s++) {
                const long double scaled = gamma * ((plane[s] - group_statistics.mean) * invstd);
                // 0/0, a constant group with eps 0, has no clean result
                const bool allowed_non_finite = non_finite == NonFinite::kAllowed || std::isnan(scaled);
                if (allowed_non_finite && !std::isfinite(result[s])) continue;
                const long double allowed = std::max(1.0L, std::fabs(scaled) + std::fabs(beta));
                const double error = static_cast<double>(std::fabs(result[s] - (scaled + beta)) / allowed);
                if (error <= worst.error) continue;
                std::ostringstream place;
                place << "at (n " << n << ", c " << c << ", position " << s << "): x " << plane[s] << ", y "
                      << result[s] << ", reference " << scaled + beta;
                worst.add(error, place.str());
            }
        }
    }
    return worst;
}

// The worst error of the means, in units of sigma, beyond what mean's own magnitude costs.
inline Worst worst_mean(const References &statistics, const std::vector<double> &mean) {
    Worst worst;
    for (size_t g = 0; g < mean.size(); g++) {
        const long double size = std::fabs(statistics[g].mean);
        const long double sigma = std::sqrt(statistics[g].variance) + 2 * kUnit * size;
        const long double error = std::fabs(mean[g] - statistics[g].mean) - 0x1p-50L * size;
        if (error > 0 || std::isnan(error)) worst.add(static_cast<double>(error / sigma), "group " + std::to_string(g));
    }
    return worst;
}

// The worst relative error of the variances (or M2: the count is exact).
inline Worst worst_variance(const References &statistics, const std::vector<double> &variance) {
    Worst worst;
    for (size_t g = 0; g < variance.size(); g++) {
        const long double shift =
            2 * kUnit * std::fabs(statistics[g].mean);  // |c - mean_k|, and it is subtracted again
        const long double size = statistics[g].variance + shift * shift;
        const long double error = std::fabs(variance[g] - statistics[g].variance);
        if (error != 0) worst.add(static_cast<double>(error / size), "group " + std::to_string(g));
    }
    return worst;
}

}  // namespace test
