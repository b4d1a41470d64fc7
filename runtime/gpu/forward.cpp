// Moments and the pointwise part of forward.
#include "compute.h"
#include "narrow.h"

namespace hnorm::gpu {

PlaneClass device_class(std::initializer_list<const Planes *> tensors) {
    constexpr int64_t kFewChannels = 16;
    const Planes &x = **tensors.begin();
    if (channels_last(tensors) && !(x.c < kFewChannels && x.s >= kFewChannels)) {
        return kLast;
    }
    return plane_class(x.s) == kLarge ? kLarge : kSmall;
}

AffineView present(const Call &call, const AffineView &affine) {
    AffineView result = affine;
    if (result.gamma == nullptr) result.gamma = call.constants.one_float;
    if (result.beta == nullptr) result.beta = call.constants.zero_float;
    return result;
}

hnorm_status moments(const Call &call, const Planes &given, hnorm_group given_group, const AffineView &given_affine,
                     double eps, double divisor, double *mean, double *m2, Forward *forward) {
    const bool is_plane = is_one_plane(given, given_group);
    const Planes x = is_plane ? one_plane(given) : given;
    const hnorm_group group = is_plane ? HNORM_INSTANCE : given_group;
    const AffineView affine = present(call, given_affine);
    HNORM_TRY(forward->reserve(x.groups(group)));
    forward->stride_n = groups_stride(given, given_group);
    const View view = view_of(group);
    On<TensorBuffer> x_buffer(call, x, view);
    On<GroupBuffer> gamma(call, affine.gamma, x, view, affine.gamma_n, affine.gamma_c);
    On<GroupBuffer> beta(call, affine.beta, x, view, affine.beta_n, affine.beta_c);
    On<GroupBuffer> means(call, mean, x, view, x.c, 1), m2s(call, m2, x, view, x.c, 1);
    On<GroupBuffer> m(call, (*forward)[0], x, view, x.c, 1), a(call, (*forward)[1], x, view, x.c, 1);
    On<GroupBuffer> b(call, (*forward)[2], x, view, x.c, 1);
    const DeviceElementKernels &kernels = call.kernels.of[x.type];
    return launch(call, (is_narrow({&x}) ? kernels.moments_narrow : kernels.moments)[reduction_class(x)], x_buffer,
                  gamma, beta, eps, divisor, kZero, means, m2s, m, a, b);
}

hnorm_status coefficients(const Call &call, const Planes &x, const GroupValues &mean, const GroupValues &variance,
                          const AffineView &given, double eps, Forward *forward) {
    const AffineView affine = present(call, given);
    const bool per_sample = mean.stride_n != 0 || variance.stride_n != 0 || affine.per_sample();
    const View view = per_sample ? View::kInstance : View::kBatch;
    HNORM_TRY(forward->reserve(per_sample ? x.n * x.c : x.c));
    forward->stride_n = per_sample ? x.c : 0;
    On<GroupBuffer> means(call, mean.data, x, view, mean.stride_n, mean.stride_c);
    On<GroupBuffer> variances(call, variance.data, x, view, variance.stride_n, variance.stride_c);
    On<GroupBuffer> gamma(call, affine.gamma, x, view, affine.gamma_n, affine.gamma_c);
    On<GroupBuffer> beta(call, affine.beta, x, view, affine.beta_n, affine.beta_c);
    On<GroupBuffer> m(call, (*forward)[0], x, view, x.c, 1), a(call, (*forward)[1], x, view, x.c, 1);
    On<GroupBuffer> b(call, (*forward)[2], x, view, x.c, 1);
    return launch(call, call.kernels.coefficients, means, variances, gamma, beta, eps, kZero, m, a, b);
}

hnorm_status normalize(const Call &call, const Planes &x, const Forward &by, const PostOps &post, const Planes &y) {
    if (x.s == 1 && x.n > 1 && by.stride_n == 0 && channels_last({&x, &y, post.residual})) {
        Planes residual;
        return normalize(call, one_plane(x), by, post.seen(one_plane, &residual), one_plane(y));
    }
    const View view = by.stride_n != 0 ? View::kInstance : View::kBatch;
    On<TensorBuffer> x_buffer(call, x, view), y_buffer(call, y, view);
    On<GroupBuffer> m(call, by[0], x, view, by.stride_n, 1), a(call, by[1], x, view, by.stride_n, 1);
    On<GroupBuffer> b(call, by[2], x, view, by.stride_n, 1);
    const DeviceElementKernels &kernels = call.kernels.of[x.type];
    const PlaneClass planes = device_class({&x, &y, post.residual});
    if (post.residual) {
        On<TensorBuffer> residual(call, *post.residual, view);
        return launch(call, kernels.normalize_residual[planes], x_buffer, m, a, b, slope_bits(post.slope), residual,
                      kZero, y_buffer);
    }
    return launch(call, kernels.normalize[planes], x_buffer, m, a, b, slope_bits(post.slope), kZero, y_buffer);
}

hnorm_status OfChannels::reserve(const Planes &x) {
    const int64_t bytes = x.n * x.c * static_cast<int64_t>(sizeof(double));
    HNORM_TRY(mean_.reserve(call_.function, bytes));
    return variance_.reserve(call_.function, bytes);
}

hnorm_status OfChannels::merge(const Planes &x, const Grouping &group, double divisor) {
    OfChannels own(call_);
    HNORM_TRY(own.reserve(x));
    HNORM_TRY(reserve(x));
    Forward unused(call_);
    HNORM_TRY(moments(call_, x, group.by, {}, 1, 1, own.mean(), own.variance(), &unused));
    const auto of = [&](const double *values) { return On<GroupBuffer>(call_, values, x, View::kInstance, x.c, 1); };
    On<GroupBuffer> means = of(own.mean()), m2s = of(own.variance()), merged = of(mean()), merged_m2s = of(variance());
    return launch(call_, call_.kernels.merge_channels, means, m2s, static_cast<int32_t>(group.together),
                  static_cast<double>(x.s), divisor, kZero, merged, merged_m2s);
}

hnorm_status OfChannels::repeat(const Planes &x, const Grouping &group, const double *mean, const double *variance) {
    HNORM_TRY(reserve(x));
    Planes groups = x;
    groups.c /= group.together;
    for (const auto &[from, to] : {std::pair(mean, mean_.as<double>()), std::pair(variance, variance_.as<double>())}) {
        On<GroupBuffer> in(call_, from, groups, View::kInstance, groups.c, 1);
        On<GroupBuffer> out(call_, to, x, View::kInstance, x.c, 1);
        HNORM_TRY(launch(call_, call_.kernels.repeat_channels, in, static_cast<int32_t>(group.together), out));
    }
    return HNORM_OK;
}

hnorm_status OfChannels::take(const Planes &x, const Grouping &group, double *mean, double *variance) const {
    Planes groups = x;
    groups.c /= group.together;
    for (const auto &[from, to] : {std::pair(mean_.as<double>(), mean), std::pair(variance_.as<double>(), variance)}) {
        if (to) {
            On<GroupBuffer> in(call_, from, groups, View::kInstance, x.c, group.together);
            On<GroupBuffer> out(call_, to, groups, View::kInstance, groups.c, 1);
            HNORM_TRY(launch(call_, call_.kernels.repeat_channels, in, 1, out));
        }
    }
    return HNORM_OK;
}

}  // namespace hnorm::gpu
