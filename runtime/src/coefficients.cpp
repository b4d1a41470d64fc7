#include "coefficients.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <initializer_list>
#include <limits>

#include "error.h"
#include "reduction.h"
#include "wide.h"

namespace hnorm::detail {

namespace {

// Groups whose values are gathered, so that what follows is vectors' work.
constexpr int64_t kTogether = 64;

struct Gathered {
    double of[kTogether];

    template <typename T>
    Gathered(const T *data, int64_t stride, int64_t count) {
        for (int64_t i = 0; i < count; ++i) {
            of[i] = data[i * stride];
        }
    }
    Gathered(const GroupValues &values, int64_t n, int64_t c, int64_t count)
        : Gathered(values.data + n * values.stride_n + c * values.stride_c, values.stride_c, count) {}
};

// The nearest float that is not infinite; a NaN stays.
double finite_float(double value) {
    constexpr double kMost = std::numeric_limits<float>::max();
    return value > kMost ? kMost : value < -kMost ? -kMost : value;
}

// p of docs/order.md, "Backward".
float slope_power(double slope) {
    int64_t bits;
    std::memcpy(&bits, &slope, sizeof bits);
    const int e = static_cast<int>(bits >> 52 & 2047) - 1023;
    return -100 <= e && e < 100 ? 1 : power_of_two(-std::clamp(e >> 1, -126, 127));
}

bool per_sample(std::initializer_list<const GroupValues *> values, const AffineView &affine) {
    return affine.per_sample() ||
           std::any_of(values.begin(), values.end(), [](const GroupValues *v) { return v->stride_n != 0; });
}

// Calls compute(n, c, count, the first one's place) for groups that lie side by side.
template <typename Compute>
void for_channels(int64_t samples, int64_t channels, const Compute &compute) {
    for (int64_t n = 0; n < samples; ++n) {
        for (int64_t c = 0; c < channels; c += kTogether) {
            compute(n, c, std::min(kTogether, channels - c), n * channels + c);
        }
    }
}

}  // namespace

hnorm_status Coefficients::compute(const char *function, const Planes &x, const GroupValues &mean,
                                   const GroupValues &variance, const AffineView &affine, double eps) {
    const bool apart = per_sample({&mean, &variance}, affine);
    const int64_t samples = apart ? x.n : 1;
    stride_n_ = apart ? x.c : 0;
    count_ = samples * x.c;
    HNORM_TRY(memory_.reserve(function, 3 * count_));
    for_channels(samples, x.c, [&](int64_t n, int64_t c, int64_t count, int64_t at) {
        const Gathered means(mean, n, c, count), variances(variance, n, c, count);
        const Gathered gammas(affine.gamma + n * affine.gamma_n + c * affine.gamma_c, affine.gamma_c, count);
        const Gathered betas(affine.beta + n * affine.beta_n + c * affine.beta_c, affine.beta_c, count);
        float *const m = memory_.data() + at, *const a = m + count_, *const b = a + count_;
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

hnorm_status Coefficients::compute_m(const char *function, const Planes &x, const GroupValues &mean) {
    const int64_t samples = mean.stride_n != 0 ? x.n : 1;
    stride_n_ = mean.stride_n != 0 ? x.c : 0;
    count_ = samples * x.c;
    HNORM_TRY(memory_.reserve(function, count_));
    for (int64_t n = 0; n < samples; ++n) {
        for (int64_t c = 0; c < x.c; ++c) {
            memory_.data()[n * x.c + c] = static_cast<float>(mean.data[n * mean.stride_n + c * mean.stride_c]);
        }
    }
    return HNORM_OK;
}

hnorm_status GradientCoefficients::compute(const char *function, const Planes &x, const GroupValues &mean,
                                           const GroupValues &variance, const AffineView &affine, double eps,
                                           const WeightedSums &sums) {
    const bool apart = per_sample({&mean, &variance, &sums.g1, &sums.g2, &sums.count}, affine);
    const int64_t samples = apart ? x.n : 1;
    stride_n_ = apart ? x.c : 0;
    count_ = samples * x.c;
    HNORM_TRY(memory_.reserve(function, 5 * count_));
    for_channels(samples, x.c, [&](int64_t n, int64_t c, int64_t count, int64_t at) {
        const Gathered means(mean, n, c, count), variances(variance, n, c, count), counts(sums.count, n, c, count);
        const Gathered g1(sums.g1, n, c, count), g2(sums.g2, n, c, count);
        const Gathered gammas(affine.gamma + n * affine.gamma_n + c * affine.gamma_c, affine.gamma_c, count);
        float *const m = memory_.data() + at, *const scale = m + count_, *const k1 = scale + count_,
                     *const power = k1 + count_, *const k2 = power + count_;
        wide([&]() HNORM_INLINED {
            for (int64_t i = 0; i < count; ++i) {
                const double inverse = invstd(variances.of[i], eps);
                const double slope = (((g2.of[i] / counts.of[i]) * inverse) * inverse) * inverse;
                m[i] = static_cast<float>(means.of[i]);
                scale[i] = static_cast<float>(gammas.of[i] * inverse);
                k1[i] = static_cast<float>((g1.of[i] / counts.of[i]) * inverse -
                                           (means.of[i] - static_cast<double>(m[i])) * slope);
                power[i] = slope_power(slope);
                k2[i] = static_cast<float>(slope / static_cast<double>(power[i]));
            }
        });
    });
    return HNORM_OK;
}

}  // namespace hnorm::detail
