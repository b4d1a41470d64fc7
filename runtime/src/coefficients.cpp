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

// j of docs/order.md, "Backward": p is 2^j. It is 0 for a slope of 0: (x - m) * 2^-126 would be subnormal, and
// backward took 1.4 times as long where dy is 0.
int exponent_of_slope_power(double slope) {
    int64_t bits;
    std::memcpy(&bits, &slope, sizeof bits);
    const int e = static_cast<int>(bits >> 52 & 2047) - 1023;
    return (-100 <= e && e < 100) || e == -1023 ? 0 : std::clamp(e >> 1, -126, 127);
}
// 2^-j: with it a division by p is a product, of the same bits.
double inverse_power(int j) {
    const int64_t bits = static_cast<int64_t>(1023 - j) << 52;
    double power;
    std::memcpy(&power, &bits, sizeof power);
    return power;
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
                m[i] = static_cast<float>(means.of[i]);
                const double total = variances.of[i] + eps, wanted = total == 0 ? 0 : gammas.of[i] / std::sqrt(total);
                a[i] = static_cast<float>(variances.of[i] == 0 ? finite_float(wanted) : wanted);
                b[i] = static_cast<float>(betas.of[i] -
                                          (means.of[i] - static_cast<double>(m[i])) * static_cast<double>(a[i]));
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
        wide([&]() HNORM_INLINED {
            for (int64_t i = 0; i < count; ++i) {
                const double inverse = invstd(variances.of[i], eps);
                const double slope = (((g2.of[i] / counts.of[i]) * inverse) * inverse) * inverse;
                m[i] = static_cast<float>(means.of[i]);
                scale[i] = static_cast<float>(gammas.of[i] * inverse);
                k1[i] = static_cast<float>((g1.of[i] / counts.of[i]) * inverse -
                                           (means.of[i] - static_cast<double>(m[i])) * slope);
                const int j = exponent_of_slope_power(slope);
                power[i] = power_of_two(-j);
                k2[i] = static_cast<float>(slope * inverse_power(j));
            }
        });
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
