// Moments and the pointwise part of forward.
#include "compute.h"
#include "narrow.h"
#include "parts.h"

namespace hnorm::gpu {

namespace {

// By one kernel; the tensor's memory begins `earlier` positions before x. Results of samples lie stride_n apart.
hnorm_status moments_of(const Call &call, const Planes &x, int64_t earlier, hnorm_group group, double divisor,
                        double *mean, double *m2, int64_t stride_n) {
    const View view = view_of(group);
    On<TensorBuffer> x_buffer(call, x, view);
    begin_earlier(x_buffer, x, earlier);
    On<GroupBuffer> mean_buffer(call, mean, x, view, stride_n, 1), m2_buffer(call, m2, x, view, stride_n, 1);
    return launch(call, call.kernels.of[x.type].moments[reduction_class(x)], x_buffer, divisor, kZero, mean_buffer,
                  m2_buffer);
}

hnorm_status narrow_moments(const Call &call, const Planes &given, hnorm_group group, double divisor, double *mean,
                            double *m2) {
    DensePlanes dense(call);
    HNORM_TRY(dense.hold(given));
    const Planes &x = dense.planes();
    PartResults results(call, x, group);
    HNORM_TRY(results.reserve());
    HNORM_TRY(moments_of(call, narrow_parts(x), 0, group, 1, results.first(), results.second(), kNarrowParts * x.c));
    int64_t earlier;
    const Planes rest = remaining(x, &earlier);
    if (results.remains()) {
        HNORM_TRY(moments_of(call, rest, earlier, group, 1, results.rest_first(), results.rest_second(), x.c));
    }
    const View view = view_of(group);
    const Planes parts = narrow_parts(x);
    On<GroupBuffer> means(call, results.first(), parts, view, parts.c, 1);
    On<GroupBuffer> m2s(call, results.second(), parts, view, parts.c, 1);
    On<GroupBuffer> rest_mean(call, results.rest_first(), x, view, x.c, 1);
    On<GroupBuffer> rest_m2(call, results.rest_second(), x, view, x.c, 1);
    On<GroupBuffer> mean_buffer(call, mean, x, view, x.c, 1), m2_buffer(call, m2, x, view, x.c, 1);
    const auto size = [&](const Planes &p) { return static_cast<double>(p.group_size(group)); };
    return launch(call, call.kernels.merge_parts, means, m2s, rest_mean, rest_m2, static_cast<int32_t>(x.c),
                  results.parts(), size(parts), size(rest), size(x), divisor, kZero, mean_buffer, m2_buffer);
}

}  // namespace

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

hnorm_status moments(const Call &call, const Planes &x, hnorm_group group, double divisor, double *mean, double *m2) {
    const bool is_plane = is_one_plane(x, group);
    const Planes planes = is_plane ? one_plane(x) : x;
    const hnorm_group of = is_plane ? HNORM_INSTANCE : group;
    return is_narrow({&planes}) ? narrow_moments(call, planes, of, divisor, mean, m2)
                                : moments_of(call, planes, 0, of, divisor, mean, m2, x.c);
}

hnorm_status normalize(const Call &call, const Planes &x, const GroupValues &mean, const GroupValues &variance,
                       const AffineView &given, double eps, const PostOps &post, const Planes &y) {
    const AffineView affine = present(call, given);
    const bool per_sample = mean.stride_n != 0 || variance.stride_n != 0 || affine.per_sample();
    if (x.s == 1 && x.n > 1 && !per_sample && channels_last({&x, &y, post.residual})) {
        Planes residual;
        return normalize(call, one_plane(x), mean, variance, affine, eps, post.seen(one_plane, &residual),
                         one_plane(y));
    }
    const View view = per_sample ? View::kInstance : View::kBatch;
    On<TensorBuffer> x_buffer(call, x, view), y_buffer(call, y, view);
    On<GroupBuffer> means(call, mean.data, x, view, mean.stride_n, mean.stride_c);
    On<GroupBuffer> variances(call, variance.data, x, view, variance.stride_n, variance.stride_c);
    On<GroupBuffer> gamma(call, affine.gamma, x, view, affine.gamma_n, affine.gamma_c);
    On<GroupBuffer> beta(call, affine.beta, x, view, affine.beta_n, affine.beta_c);
    const DeviceElementKernels &kernels = call.kernels.of[x.type];
    const PlaneClass planes = device_class({&x, &y, post.residual});
    if (post.residual) {
        On<TensorBuffer> residual(call, *post.residual, view);
        return launch(call, kernels.normalize_residual[planes], x_buffer, means, variances, gamma, beta, eps,
                      slope_bits(post.slope), residual, kZero, y_buffer);
    }
    return launch(call, kernels.normalize[planes], x_buffer, means, variances, gamma, beta, eps, slope_bits(post.slope),
                  kZero, y_buffer);
}

}  // namespace hnorm::gpu
