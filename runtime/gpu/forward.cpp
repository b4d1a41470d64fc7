// Forward on a device: statistics, coefficients and the pointwise part.
#include "backend.h"

namespace hnorm::gpu {

namespace {

// `count` values as a row.
View row(int64_t count) { return {nullptr, HNORM_F32, {}, {}, {count, 1}, {}}; }

}  // namespace

AffineView Gpu::present(const AffineView &affine) const {
    AffineView result = affine;
    if (result.gamma.data == nullptr) result.gamma = {constants.one_float, 0, 0};
    if (result.beta.data == nullptr) result.beta = {constants.zero_float, 0, 0};
    return result;
}

hnorm_status Gpu::fill(double *values, int64_t count, double value) const {
    if (count == 0) return HNORM_OK;
    return launch(*this, kernels.fill, value, On<GroupBuffer>(*this, values, row(count)));
}

hnorm_status Gpu::fill(float *values, int64_t count, float value) const {
    if (count == 0) return HNORM_OK;
    return launch(*this, kernels.fill_float, static_cast<double>(value), On<GroupBuffer>(*this, values, row(count)));
}

hnorm_status Gpu::widen(const float *values, int64_t count, double *to) const {
    return launch(*this, kernels.widen, On<GroupBuffer>(*this, values, row(count)),
                  On<GroupBuffer>(*this, to, row(count)));
}

hnorm_status Gpu::repeat(const double *from, const View &groups, int64_t together, double *to) const {
    View repeated = groups;
    repeated.g0.extent *= together;
    return launch(*this, kernels.repeat_channels, On<GroupBuffer>(*this, from, groups), static_cast<int32_t>(together),
                  On<GroupBuffer>(*this, to, repeated));
}

hnorm_status Gpu::ChannelStatistics::repeat(const CheckedTensor &x, Normalization *by) {
    const int64_t together = by->variance.together;
    if (together == 1) {
        return HNORM_OK;
    }
    View groups = channels_of(x, true);
    groups.g0.extent /= together;
    for (auto &[memory, values] : {std::pair(&mean_, &by->mean), std::pair(&variance_, &by->variance)}) {
        HNORM_TRY(memory->reserve(x.n * x.c));
        HNORM_TRY(on_.repeat(values->data, groups, together, memory->data()));
        *values = {memory->data(), x.c};
    }
    return HNORM_OK;
}

hnorm_status Gpu::moments(const CheckedTensor &x, const Grouping &group, const AffineView &given, double eps,
                          double divisor, const Track *tracked, double *mean, double *m2,
                          Coefficients *coefficients) const {
    const SumsView seen = sums_view(x, nullptr, group);
    const View &view = seen.x;
    const AffineView affine = present(given);
    HNORM_TRY(coefficients->reserve(view.groups()));
    coefficients->stride_n = group.stride_n(x);
    Elements x_buffer(*this, view);
    On<GroupBuffer> gamma = read(*this, affine.gamma, view), beta = read(*this, affine.beta, view);
    On<GroupBuffer> means(*this, mean, view), m2s(*this, m2, view), m(*this, (*coefficients)[0], view);
    On<GroupBuffer> a(*this, (*coefficients)[1], view), b(*this, (*coefficients)[2], view);
    const Track step = tracked ? *tracked : Track{};
    Unwanted unwanted(*this);
    HNORM_TRY(unwanted.reserve());
    const auto running = [&](double *values) { return unwanted.or_else(values, view); };
    const DeviceElementKernels &of_type = kernels.of[x.type];
    const DeviceMoments kernel = seen.few_channels
                                     ? of_type.moments_few_channels[seen.planes]
                                     : chosen(*this, of_type.moments, of_type.moments_aligned, seen.planes, {&view});
    return launch(*this, kernel, x_buffer, gamma, beta, eps, divisor, running(step.running_mean),
                  running(step.running_variance), 1 - step.momentum, step.momentum, step.correction, kZero, means, m2s,
                  m, a, b, running(step.running_mean), running(step.running_variance));
}

hnorm_status Gpu::moments(const CheckedTensor &x, const Grouping &group, double divisor, double *mean,
                          double *m2) const {
    Coefficients unused(*this);
    const SumsView seen = sums_view(x, nullptr, group);
    if (seen.merged == 1) {
        return moments(x, group, {}, 1, divisor, nullptr, mean, m2, &unused);
    }
    // Of channels, then merged, with the values of a group for each of its channels.
    Memory<double> means(*this), m2s(*this), merged_mean(*this), merged_m2(*this);
    for (Memory<double> *memory : {&means, &m2s, &merged_mean, &merged_m2}) {
        HNORM_TRY(memory->reserve(x.n * x.c));
    }
    HNORM_TRY(moments(x, {group.by}, {}, 1, 1, nullptr, means.data(), m2s.data(), &unused));
    const View channels = channels_of(x, true);
    const auto of = [&](const Memory<double> &memory) { return On<GroupBuffer>(*this, memory.data(), channels); };
    HNORM_TRY(launch(*this, kernels.merge_channels, of(means), of(m2s), static_cast<int32_t>(group.together),
                     static_cast<double>(x.s), divisor, kZero, of(merged_mean), of(merged_m2)));
    View groups = channels;
    groups.g0.extent /= group.together;
    for (const auto &[from, to] : {std::pair(&merged_mean, mean), std::pair(&merged_m2, m2)}) {
        HNORM_TRY(launch(*this, kernels.repeat_channels,
                         On<GroupBuffer>(*this, from->data(), groups, x.c, group.together), 1,
                         On<GroupBuffer>(*this, to, groups)));
    }
    return HNORM_OK;
}

hnorm_status Gpu::statistics(const CheckedTensor &x, const Forward &of, const Normalization &by, double *mean,
                             double *variance, Coefficients *coefficients) const {
    const auto size = static_cast<double>(of.group.size(x));
    if (are_own(of)) {
        return moments(x, of.group, by.affine, by.eps, size, own_step(of), mean, variance, coefficients);
    }
    HNORM_TRY(moments(x, of.group, size, mean, variance));
    Normalization of_channels = by;
    ChannelStatistics statistics(*this);
    HNORM_TRY(statistics.repeat(x, &of_channels));
    return this->coefficients(x, of_channels, coefficients);
}

hnorm_status Gpu::coefficients(const CheckedTensor &x, const Normalization &by, Coefficients *forward) const {
    const AffineView affine = present(by.affine);
    const bool per_sample = by.per_sample();
    const View view = channels_of(x, per_sample);
    HNORM_TRY(forward->reserve(view.groups()));
    forward->stride_n = per_sample ? x.c : 0;
    On<GroupBuffer> means = read(*this, by.mean, view), variances = read(*this, by.variance, view);
    On<GroupBuffer> gamma = read(*this, affine.gamma, view), beta = read(*this, affine.beta, view);
    On<GroupBuffer> m(*this, (*forward)[0], view), a(*this, (*forward)[1], view), b(*this, (*forward)[2], view);
    return launch(*this, kernels.coefficients, means, variances, gamma, beta, by.eps, kZero, m, a, b);
}

hnorm_status Gpu::normalize(const CheckedTensor &x, const Coefficients &by, const PostOps &post, const CheckedTensor &y,
                            bool) const {
    const CheckedTensor tensors[] = {x, y, post.residual ? *post.residual : x};
    const PointwiseView seen = pointwise_view_on_device(tensors, 3, by.stride_n != 0);
    const View &view = seen.tensors[0];
    Elements x_buffer(*this, view), y_buffer(*this, seen.tensors[1]);
    On<GroupBuffer> m(*this, by[0], view, by.stride_n), a(*this, by[1], view, by.stride_n);
    On<GroupBuffer> b(*this, by[2], view, by.stride_n);
    const DeviceElementKernels &of_type = kernels.of[x.type];
    const int32_t slope = slope_bits(post.slope);
    if (post.residual) {
        return launch(*this,
                      chosen(*this, of_type.normalize_residual, of_type.normalize_residual_aligned, seen.planes,
                             {&view, &seen.tensors[1], &seen.tensors[2]}),
                      x_buffer, m, a, b, slope, Elements(*this, seen.tensors[2]), kZero, y_buffer);
    }
    return launch(*this,
                  chosen(*this, of_type.normalize, of_type.normalize_aligned, seen.planes, {&view, &seen.tensors[1]}),
                  x_buffer, m, a, b, slope, kZero, y_buffer);
}

hnorm_status Gpu::track(const Track &step) const {
    const View channels = row(step.channels);
    View groups = channels;
    groups.g1 = {step.samples, step.channels};
    On<GroupBuffer> means(*this, step.mean, groups), variances(*this, step.variance, groups);
    const auto running = [&](double *values) { return On<GroupBuffer>(*this, values, channels); };
    return launch(*this, kernels.track, running(step.running_mean), running(step.running_variance), means, variances,
                  static_cast<int32_t>(step.samples), 1 - step.momentum, step.momentum, step.correction, kZero,
                  running(step.running_mean), running(step.running_variance));
}

}  // namespace hnorm::gpu
