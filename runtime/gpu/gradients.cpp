// The sums and the pointwise parts of backward.
#include "compute.h"
#include "narrow.h"

namespace hnorm::gpu {

namespace {

On<GroupBuffer> buffer_of(const Call &call, const GroupValues &values, const Planes &x, View view) {
    return On<GroupBuffer>(call, values.data, x, view, values.stride_n, values.stride_c);
}
On<GroupBuffer> buffer_of(const Call &call, const float *values, const Sign &sign, const Planes &x, View view) {
    return On<GroupBuffer>(call, values, x, view, sign.stride_n, sign.stride_c);
}

}  // namespace

Sign no_sign(const Call &call) { return {call.constants.one_float, call.constants.zero_float, 0, 0, 1}; }

hnorm_status backward_reduce(const Call &call, const Planes &given_x, const Planes &given_dy, hnorm_group given_group,
                             const GroupValues &mean, const Sign &sign, const GroupValues &variance,
                             const AffineView &given, double eps, double *sum_dy, double *sum_dy_xmu,
                             Gradient *gradient) {
    const bool is_plane = is_one_plane(given_x, given_group);
    const Planes x = is_plane ? one_plane(given_x) : given_x, dy = is_plane ? one_plane(given_dy) : given_dy;
    const hnorm_group group = is_plane ? HNORM_INSTANCE : given_group;
    const AffineView affine = present(call, given);
    HNORM_TRY(gradient->reserve(x.groups(group)));
    gradient->stride_n = groups_stride(given_x, given_group);
    const View view = view_of(group);
    On<TensorBuffer> x_buffer(call, x, view), dy_buffer(call, dy, view);
    On<GroupBuffer> means = buffer_of(call, mean, x, view), variances = buffer_of(call, variance, x, view);
    On<GroupBuffer> a = buffer_of(call, sign.a, sign, x, view), b = buffer_of(call, sign.b, sign, x, view);
    On<GroupBuffer> gamma(call, affine.gamma, x, view, affine.gamma_n, affine.gamma_c);
    const auto written = [&](auto *values) { return On<GroupBuffer>(call, values, x, view, x.c, 1); };
    On<GroupBuffer> of_dy = written(sum_dy), of_dy_xmu = written(sum_dy_xmu), m = written((*gradient)[0]);
    On<GroupBuffer> scale = written((*gradient)[1]), k1 = written((*gradient)[2]);
    On<GroupBuffer> power = written((*gradient)[3]), k2 = written((*gradient)[4]);
    const DeviceElementKernels &kernels = call.kernels.of[x.type];
    const PlaneClass planes = channels_last({&x, &dy}) ? kLast : plane_class(x.s);
    return launch(call, (is_narrow({&x, &dy}) ? kernels.backward_reduce_narrow : kernels.backward_reduce)[planes],
                  x_buffer, dy_buffer, means, a, b, slope_bits(sign.slope), variances, gamma, eps, kZero, of_dy,
                  of_dy_xmu, m, scale, k1, power, k2);
}

hnorm_status gradient_coefficients(const Call &call, const Planes &x, const GroupValues &mean,
                                   const GroupValues &variance, const AffineView &given, double eps,
                                   const WeightedSums &sums, bool weigh, Gradient *gradient) {
    const AffineView affine = present(call, given);
    bool per_sample = affine.per_sample();
    for (const GroupValues *values : {&mean, &variance, &sums.g1, &sums.g2, &sums.count}) {
        per_sample = per_sample || values->stride_n != 0;
    }
    const View view = per_sample ? View::kInstance : View::kBatch;
    HNORM_TRY(gradient->reserve(per_sample ? x.n * x.c : x.c));
    gradient->stride_n = per_sample ? x.c : 0;
    On<GroupBuffer> means = buffer_of(call, mean, x, view), variances = buffer_of(call, variance, x, view);
    On<GroupBuffer> gamma(call, affine.gamma, x, view, affine.gamma_n, affine.gamma_c);
    On<GroupBuffer> g1 = buffer_of(call, sums.g1, x, view), g2 = buffer_of(call, sums.g2, x, view);
    On<GroupBuffer> count = buffer_of(call, sums.count, x, view);
    const auto written = [&](float *values) { return On<GroupBuffer>(call, values, x, view, x.c, 1); };
    On<GroupBuffer> m = written((*gradient)[0]), scale = written((*gradient)[1]);
    On<GroupBuffer> k1 = written((*gradient)[2]);
    On<GroupBuffer> power = written((*gradient)[3]), k2 = written((*gradient)[4]);
    return launch(call, call.kernels.gradient_coefficients, means, variances, gamma, g1, g2, count, eps,
                  static_cast<int32_t>(weigh), kZero, m, scale, k1, power, k2);
}

hnorm_status backward_apply(const Call &call, const Planes &x, const Planes &dy, const Gradient &by, const Sign &sign,
                            const Planes &dx) {
    const bool per_sample = by.stride_n != 0 || sign.stride_n != 0;
    if (x.s == 1 && x.n > 1 && !per_sample && channels_last({&x, &dy, &dx})) {
        return backward_apply(call, one_plane(x), one_plane(dy), by, sign, one_plane(dx));
    }
    const View view = per_sample ? View::kInstance : View::kBatch;
    On<TensorBuffer> x_buffer(call, x, view), dy_buffer(call, dy, view), dx_buffer(call, dx, view);
    const auto read = [&](int i) { return On<GroupBuffer>(call, by[i], x, view, by.stride_n, 1); };
    On<GroupBuffer> m = read(0), scale = read(1), k1 = read(2), power = read(3), k2 = read(4);
    On<GroupBuffer> a = buffer_of(call, sign.a, sign, x, view), b = buffer_of(call, sign.b, sign, x, view);
    return launch(call, call.kernels.of[x.type].backward_apply[device_class({&x, &dy, &dx})], x_buffer, dy_buffer, m,
                  scale, k1, power, k2, a, b, slope_bits(sign.slope), kZero, dx_buffer);
}

hnorm_status activation_backward(const Call &call, const Planes &y, const Planes &dy, float slope, const Planes &dz) {
    if (y.s == 1 && y.n > 1 && channels_last({&y, &dy, &dz})) {
        return activation_backward(call, one_plane(y), one_plane(dy), slope, one_plane(dz));
    }
    On<TensorBuffer> y_buffer(call, y, View::kBatch), dy_buffer(call, dy, View::kBatch),
        dz_buffer(call, dz, View::kBatch);
    return launch(call, call.kernels.of[y.type].activation_backward[device_class({&y, &dy, &dz})], y_buffer, dy_buffer,
                  slope_bits(slope), kZero, dz_buffer);
}

hnorm_status wide_gradient(const Call &call, const Planes &y, const Planes &dy, float slope, const Planes &dz) {
    On<TensorBuffer> y_buffer(call, y, View::kBatch), dy_buffer(call, dy, View::kBatch),
        dz_buffer(call, dz, View::kBatch);
    return launch(call, y.type == HNORM_F16 ? call.kernels.wide_gradient_f16 : call.kernels.wide_gradient_bf16,
                  y_buffer, dy_buffer, slope_bits(slope), kZero, dz_buffer);
}

hnorm_status narrow(const Call &call, const Planes &from, const Planes &to) {
    On<TensorBuffer> from_buffer(call, from, View::kBatch), to_buffer(call, to, View::kBatch);
    return launch(call, to.type == HNORM_F16 ? call.kernels.narrow_f16 : call.kernels.narrow_bf16, from_buffer,
                  to_buffer);
}

}  // namespace hnorm::gpu
