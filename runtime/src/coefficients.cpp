#include "coefficients.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "error.h"
#include "magnitudes.h"
#include "wide.h"

namespace hnorm::detail {

namespace {

// The nearest float that is not infinite; a NaN stays.
double finite_float(double value) {
    constexpr double kMost = std::numeric_limits<float>::max();
    return value > kMost ? kMost : value < -kMost ? -kMost : value;
}

// p of docs/order.md, "Backward". A slope of 0 has 1: (x - m) * 2^-126 would be subnormal, and
// backward took 1.4 times as long where dy is 0.
float slope_power(double slope) {
    int64_t bits;
    std::memcpy(&bits, &slope, sizeof bits);
    const int e = static_cast<int>(bits >> 52 & 2047) - 1023;
    return (-100 <= e && e < 100) || e == -1023 ? 1 : power_of_two(-std::clamp(e >> 1, -126, 127));
}
}  // namespace

hnorm_status Coefficients::compute(const char *function, const CheckedTensor &x, const Normalization &by) {
    HNORM_TRY(reserve(function, x, by.per_sample()));
    for_groups(x, [&](const auto &gathered, int64_t count, float *m) {
        const Gathered means = gathered(by.mean), variances = gathered(by.variance);
        const Gathered gammas = gathered(by.affine.gamma), betas = gathered(by.affine.beta);
        const double eps = by.eps;
        float *const a = m + count_, *const b = a + count_;
        wide([&]() HNORM_INLINED {
            for (int64_t i = 0; i < count; ++i) {
                // All is read and computed first, so that selects follow and no branches: a branch
                // keeps the loop from being vectors.
                const double mean = means.of[i], variance = variances.of[i], gamma = gammas.of[i], beta = betas.of[i];
                const double total = variance + eps, wanted = gamma / std::sqrt(total), finite = finite_float(wanted);
                const auto center = static_cast<float>(mean);
                const auto scale = static_cast<float>(total == 0 ? 0 : variance == 0 ? finite : wanted);
                m[i] = center;
                a[i] = scale;
                b[i] = static_cast<float>(beta - (mean - static_cast<double>(center)) * static_cast<double>(scale));
            }
        });
    });
    return HNORM_OK;
}

hnorm_status Coefficients::compute_m(const char *function, const CheckedTensor &x, const Values<double> &mean) {
    HNORM_TRY(reserve(function, x, mean.stride_n != 0, 1));
    for_groups(x, [&](const auto &gathered, int64_t count, float *m) {
        const Gathered means = gathered(mean);
        std::copy_n(means.of, count, m);
    });
    return HNORM_OK;
}

hnorm_status GradientCoefficients::compute(const char *function, const CheckedTensor &x, const Normalization &by,
                                           const WeightedSums &sums) {
    const bool per_sample =
        by.per_sample() || sums.g1.stride_n != 0 || sums.g2.stride_n != 0 || sums.count.stride_n != 0;
    HNORM_TRY(reserve(function, x, per_sample));
    for_groups(x, [&](const auto &gathered, int64_t count, float *m) {
        const Gathered means = gathered(by.mean), variances = gathered(by.variance);
        const Gathered g1 = gathered(sums.g1), g2 = gathered(sums.g2), counts = gathered(sums.count);
        const Gathered gammas = gathered(by.affine.gamma);
        const double eps = by.eps;
        float *const scale = m + count_, *const k1 = scale + count_, *const power = k1 + count_,
                     *const k2 = power + count_;
        const auto slope_of = [&](int64_t i, double inverse)
                                  HNORM_INLINED { return (((g2.of[i] / counts.of[i]) * inverse) * inverse) * inverse; };
        // Nearly all powers are 1. So vectors only say whether all are.
        const bool all_one = wide([&]() HNORM_INLINED {
            int all = 1;
            for (int64_t i = 0; i < count; ++i) {
                const double inverse = invstd(variances.of[i], eps), slope = slope_of(i, inverse);
                m[i] = static_cast<float>(means.of[i]);
                scale[i] = static_cast<float>(gammas.of[i] * inverse);
                k1[i] = static_cast<float>((g1.of[i] / counts.of[i]) * inverse -
                                           (means.of[i] - static_cast<double>(m[i])) * slope);
                power[i] = 1;
                k2[i] = static_cast<float>(slope);
                const double size = std::fabs(slope);
                all &= static_cast<int>(either(both(0x1p-100 <= size, size < 0x1p100), size == 0));
            }
            return all != 0;
        });
        for (int64_t i = 0; i < count && !all_one; ++i) {
            const double slope = slope_of(i, invstd(variances.of[i], eps));
            power[i] = slope_power(slope);
            k2[i] = static_cast<float>(slope / static_cast<double>(power[i]));
        }
    });
    return HNORM_OK;
}

hnorm_status GateValues::compute(const char *function, const CheckedTensor &x, const Normalization &by,
                                 float its_slope) {
    slope = its_slope;
    if (slope == 1) {
        HNORM_TRY(coefficients_.compute_m(function, x, by.mean));
        m = a = b = coefficients_.m();
    } else {
        HNORM_TRY(coefficients_.compute(function, x, by));
        m = coefficients_.m();
        a = coefficients_.a();
        b = coefficients_.b();
    }
    return HNORM_OK;
}

}  // namespace hnorm::detail
