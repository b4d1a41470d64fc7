// Forward's operations, written once for the CPU and devices. A backend (cpu.h) gives the parts.
#pragma once

#include <utility>

#include "call_log.h"
#include "error.h"
#include "kernels.h"
#include "values.h"

namespace hnorm::detail {

// Arguments of operations are validated. On a device all of their pointers are the device's.

// hnorm_moments
struct Moments {
    static constexpr Operation kOperation = kForward;
    CheckedTensor x;
    Grouping group;
    double *count, *mean, *m2;

    CallKind kind() const { return {Computes::kMoments, x, nullptr, group}; }
};

// One step of a layer's running statistics of C channels. mean and variance of the step have one
// value a group, and each channel has `samples` groups. The momentum is the weight of the average
// over the samples. The average of the variance is multiplied by `correction`.
struct Track {
    static constexpr Operation kOperation = kForward;
    int64_t channels, samples;
    const double *mean, *variance;
    double momentum, correction;
    double *running_mean, *running_variance;
};

// hnorm_forward
struct Forward {
    static constexpr Operation kOperation = kForward;
    CheckedTensor x;
    Grouping group;
    AffineView affine;
    double eps;
    PostOps post;
    CheckedTensor y;
    double *mean, *variance;       // null: not wanted
    const Track *track = nullptr;  // the step of a layer with these statistics; null: none

    CallKind kind() const { return {Computes::kForward, x, y.data, group, post.slope != 1, post.residual != nullptr}; }
};

// hnorm_normalize
struct Normalize {
    static constexpr Operation kOperation = kNormalize;
    CheckedTensor x;
    Normalization by;
    PostOps post;
    CheckedTensor y;

    CallKind kind() const {
        return {Computes::kNormalize, x, y.data, grouping_of(by.mean), post.slope != 1, post.residual != nullptr};
    }
};

// hnorm_batch_normalization: statistics in float, for each channel, or for each sample and channel
struct NormalizeFloats {
    static constexpr Operation kOperation = kNormalize;
    CheckedTensor x;
    Values<float> mean, variance;
    AffineView affine;
    double eps;
    CheckedTensor y;

    CallKind kind() const { return {Computes::kNormalize, x, y.data, grouping_of(mean)}; }
};

// The statistics of all groups. M2 is divided by `divisor`.
template <typename Backend>
hnorm_status moments_of_blocks(const Backend &on, const CheckedTensor &x, const Grouping &group, double divisor,
                               double *mean, double *m2) {
    return on.for_blocks(x, group, 1, [&](const Slice &slice) {
        const int64_t first = group.first(x, slice);
        return on.moments(cropped(x, slice), group, divisor, mean + first, m2 + first);
    });
}

template <typename Backend>
hnorm_status compute_moments(const Backend &on, const Moments &a) {
    const int64_t groups = a.group.count(a.x);
    if (a.x.empty()) {
        HNORM_TRY(on.fill(a.mean, groups, 0.0));
        HNORM_TRY(on.fill(a.m2, groups, 0.0));
        return on.fill(a.count, groups, 0.0);
    }
    HNORM_TRY(moments_of_blocks(on, a.x, a.group, 1, a.mean, a.m2));
    return on.fill(a.count, groups, static_cast<double>(a.group.size(a.x)));
}

template <typename Backend>
hnorm_status compute_forward(const Backend &on, const Forward &a) {
    if (a.x.empty()) {
        return HNORM_OK;
    }
    if constexpr (Backend::kFuses) {
        if (on.fuses(a)) {
            return on.fused(a);
        }
    }
    typename Backend::template Memory<double> unwanted_mean(on), unwanted_variance(on);
    double *mean = a.mean, *variance = a.variance;
    for (const auto &[values, memory] : {std::pair(&mean, &unwanted_mean), std::pair(&variance, &unwanted_variance)}) {
        if (*values == nullptr) {
            HNORM_TRY(memory->reserve(a.group.count(a.x)));
            *values = memory->data();
        }
    }
    const Normalization by = {group_values<double>(mean, a.x, a.group), group_values<double>(variance, a.x, a.group),
                              a.affine, a.eps};
    const bool past_cache = on.goes_past_cache(a.y, {&a.x, a.post.residual}, !by.per_sample());
    HNORM_TRY(on.for_blocks(a.x, a.group, 1, [&](const Slice &slice) {
        const CheckedTensor x = cropped(a.x, slice);
        const int64_t first = a.group.first(a.x, slice);
        typename Backend::Coefficients coefficients(on);
        HNORM_TRY(on.statistics(x, a, by.from(slice), mean + first, variance + first, &coefficients));
        CheckedTensor residual;
        return on.normalize(x, coefficients, a.post.from(slice, &residual), cropped(a.y, slice), past_cache);
    }));
    return a.track && !on.has_tracked(a) ? on.track(*a.track) : HNORM_OK;
}

template <typename Backend>
hnorm_status compute_normalize(const Backend &on, const Normalize &a) {
    if (a.x.empty()) {
        return HNORM_OK;
    }
    Normalization by = a.by;
    typename Backend::ChannelStatistics statistics(on);
    HNORM_TRY(statistics.repeat(a.x, &by));
    const bool past_cache = on.goes_past_cache(a.y, {&a.x, a.post.residual});
    const auto compute = [&](const Slice &slice) {
        const CheckedTensor x = cropped(a.x, slice);
        typename Backend::Coefficients coefficients(on);
        HNORM_TRY(on.coefficients(x, by.from(slice), &coefficients));
        CheckedTensor residual;
        return on.normalize(x, coefficients, a.post.from(slice, &residual), cropped(a.y, slice), past_cache);
    };
    // Coefficients of each sample's groups: threads share that work, too.
    return by.per_sample() ? on.for_blocks(a.x, {HNORM_INSTANCE, by.variance.together}, 1, compute)
                           : compute(all_of(a.x));
}

template <typename Backend>
hnorm_status compute_normalize_floats(const Backend &on, const NormalizeFloats &a) {
    if (a.x.empty()) {
        return HNORM_OK;
    }
    const int64_t count = a.mean.stride_n == 0 ? a.x.c : a.x.n * a.x.c;
    typename Backend::template Memory<double> mean(on), variance(on);  // Kernels read statistics in double.
    HNORM_TRY(mean.reserve(count));
    HNORM_TRY(variance.reserve(count));
    HNORM_TRY(on.widen(a.mean.data, count, mean.data()));
    HNORM_TRY(on.widen(a.variance.data, count, variance.data()));
    const int64_t stride_n = a.mean.stride_n;
    const Normalization by = {{mean.data(), stride_n}, {variance.data(), stride_n}, a.affine, a.eps};
    return compute_normalize(on, {a.x, by, {}, a.y});
}

template <typename Backend>
hnorm_status compute_track(const Backend &on, const Track &step) {
    return on.track(step);
}

}  // namespace hnorm::detail
