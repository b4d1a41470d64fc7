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

// y may be wrong by this much, times max(1, |gamma*xhat| + |beta|), or by a unit in the last place
// of 16-bit elements: whatever the data are.
constexpr double kTolerance = 5e-7;
// The same for the kinds of data of data.h, with |mean| up to 100,000 sigma. What is more takes a
// search (search_accuracy.cpp).
constexpr double kKindsTolerance = 4e-7;

// Worst-case bounds that follow from the order (docs/order.md), u = 2^-24. A term is rounded when
// its four is added (twice), when that is added to its lane (at most 8 fours a chunk, of which the
// first adds to 0: 7 times; 3 in large planes) and in the tree (twice in small planes, 4 times in
// large ones): at most 11 times, and all after that is in double. d itself is rounded once. So E is
// wrong by at most 12 u sum|d|, and the mean, c + E/n, by 12 u mean|d| <= 12 u sqrt(Q/n). A group's
// E*o is at most M2/2, else it is summed again about its own mean, so Q = M2 + E*o <= 1.5 M2: 12
// sqrt(1.5) < 15.
//
// Q is wrong by 14 u Q (d twice, its square, 11 additions) <= 21 u M2, and E*o by 2 |o| 12 u
// sum|d|, which is at most 24 u sqrt(n o^2) sqrt(Q) <= 24 u sqrt(0.5 * 1.5) M2 < 21 u M2.
//
// Where c is the float nearest to the mean, |o| may be u|mean| whatever sigma is: worst_mean and
// worst_variance add that to it.
constexpr double kUnit = 0x1p-24;
constexpr double kMeanBound = 15 * kUnit;  // times sigma
constexpr double kM2Bound = 42 * kUnit;    // times M2

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

// The worst error of y = forward(x); a residual counts among what is added. Non-finite results
// count as infinitely wrong unless allowed.
inline Worst worst_y(const Tensor &x, hnorm_group group, const References &statistics, const Affine &affine, double eps,
                     const Tensor &y, NonFinite non_finite = NonFinite::kWrong, const Post &post = {}) {
    Worst worst;
    for (int64_t n = 0; n < x.samples(); n++) {
        for (int64_t c = 0; c < x.channels(); c++) {
            const reference::Statistics &group_statistics = statistics[static_cast<size_t>(group_of(x, group, n, c))];
            const long double gamma = affine.gamma(n, c), beta = affine.beta(n, c);
            const long double invstd = reference::invstd(group_statistics.variance, eps);
            const float *plane = x.plane(n, c), *result = y.plane(n, c);
            for (int64_t s = 0; s < x.positions(); s++) {
                const long double scaled = gamma * ((plane[s] - group_statistics.mean) * invstd);
                if (non_finite == NonFinite::kAllowed && !std::isfinite(result[s])) continue;
                const long double added = post.residual ? post.residual->at(n, c, s) : 0;
                const long double slope = post.activation.slope(), z = scaled + beta + added;
                const long double allowed =
                    std::max(1.0L, std::fabs(scaled) + std::fabs(beta) + std::fabs(added)) * std::max(1.0L, slope);
                const long double expected = z < 0 ? slope * z : z;
                const double error = static_cast<double>(std::fabs(result[s] - expected) /
                                                         std::max(allowed, last_place(expected) / kTolerance));
                if (error <= worst.error) continue;
                std::ostringstream place;
                place << "at (n " << n << ", c " << c << ", position " << s << "): x " << plane[s] << ", y "
                      << result[s] << ", reference " << expected;
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
        const long double shift = 2 * kUnit * std::fabs(statistics[g].mean);  // |c - mean|, and it is subtracted again
        const long double size = statistics[g].variance + shift * shift;
        const long double error = std::fabs(variance[g] - statistics[g].variance);
        if (error != 0) worst.add(static_cast<double>(error / size), "group " + std::to_string(g));
    }
    return worst;
}

// Gradients may be wrong by this much: dx times the group's max |gamma*invstd*dy|, dgamma times sum
// |dy*xhat|, dbeta times sum |dy|.
constexpr double kGradientTolerance = 2e-6;

// The worst error of dx, in units of the group's max |gamma*invstd*dy|. dx itself can exceed that
// (where few values of x hold most of the variance, xhat is large): there its own rounding, half a
// unit in its last place, is not counted.
inline Worst worst_dx(const Tensor &x, hnorm_group group, const reference::Gradients &expected, const Tensor &dx) {
    Worst worst;
    size_t i = 0;
    for (int64_t n = 0; n < x.samples(); n++) {
        for (int64_t c = 0; c < x.channels(); c++) {
            const long double unit = expected.greatest[static_cast<size_t>(group_of(x, group, n, c))];
            for (int64_t s = 0; s < x.positions(); s++, i++) {
                const long double error =
                    std::fabs(dx.at(n, c, s) - expected.dx[i]) -
                    std::max<long double>(kUnit * std::fabs(expected.dx[i]), last_place(expected.dx[i]));
                // beyond all elements, what is nearest to the gradient is an infinity
                const bool beyond = std::fabs(expected.dx[i]) * 1.001L > x.format().greatest();
                if (error <= 0 || error / unit <= worst.error || (beyond && std::isinf(dx.at(n, c, s)))) continue;
                std::ostringstream place;
                place << "at (n " << n << ", c " << c << ", position " << s << "): dx " << dx.at(n, c, s)
                      << ", reference " << expected.dx[i] << ", max |gamma*invstd*dy| " << unit;
                worst.add(static_cast<double>(error / unit), place.str());
            }
        }
    }
    return worst;
}

// The worst error of dgamma or dbeta in the given units, beyond what is allowed anyway.
inline Worst worst_parameter(const std::vector<float> &actual, const std::vector<long double> &expected,
                             const std::vector<long double> &units, const std::vector<long double> &allowed) {
    Worst worst;
    for (size_t i = 0; i < actual.size(); i++) {
        const long double error = std::fabs(actual[i] - expected[i]) - allowed[i];
        if (error <= 0) continue;
        std::ostringstream place;
        place << "parameter " << i << ": " << actual[i] << ", reference " << expected[i] << ", unit " << units[i];
        worst.add(static_cast<double>(error / units[i]), place.str());
    }
    return worst;
}

// The worst error of dgamma, in units of sum |dy*xhat|, beyond what the error of the given mean
// costs: it shifts xhat, which shows where all of dy lies at x near its mean (a sum over one
// element, where gamma is per sample of (N, C)).
inline Worst worst_dgamma(const Tensor &x, hnorm_group group, const std::vector<float> &dgamma,
                          const reference::Gradients &expected, const std::vector<double> &mean,
                          const References &statistics, double eps) {
    std::vector<long double> allowed(dgamma.size(), 0);
    for (int64_t n = 0; n < x.samples(); n++) {
        for (int64_t c = 0; c < x.channels(); c++) {
            const size_t g = static_cast<size_t>(group_of(x, group, n, c));
            const size_t p = static_cast<size_t>(n * x.channels() + c) % dgamma.size();
            const long double shift =
                std::fabs(mean[g] - statistics[g].mean) * reference::invstd(statistics[g].variance, eps);
            allowed[p] = std::max(allowed[p], shift * std::fabs(expected.dbeta_size[p]));
        }
    }
    return worst_parameter(dgamma, expected.dgamma, expected.dgamma_size, allowed);
}

// The worst error of dbeta, in units of sum |dy|.
inline Worst worst_dbeta(const std::vector<float> &dbeta, const reference::Gradients &expected) {
    return worst_parameter(dbeta, expected.dbeta, expected.dbeta_size, std::vector<long double>(dbeta.size(), 0));
}

inline reference::Gradients reference_gradients(const Tensor &x, const Tensor &dy, hnorm_group group,
                                                const References &statistics, bool frozen, const Affine &affine,
                                                double eps) {
    return reference::gradients(
        x, dy, group, statistics, frozen, [&](int64_t n, int64_t c) { return affine.gamma(n, c); },
        affine.kind == AffineKind::kSampleAndChannel, eps);
}

}  // namespace test
