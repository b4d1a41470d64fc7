// The sums and the pointwise parts of backward.
#include <algorithm>

#include "compute.h"
#include "parts.h"

namespace hnorm::gpu {

namespace {

On<GroupBuffer> buffer_of(const Call &call, const GroupValues &values, const Planes &x, View view) {
    return On<GroupBuffer>(call, values.data, x, view, values.stride_n, values.stride_c);
}

// By one kernel, as moments_of in forward.cpp.
hnorm_status sums_of(const Call &call, const Planes &x, const Planes &dy, int64_t earlier, hnorm_group group,
                     const ForwardPart &forward, double *sum_dy, double *sum_dy_xmu, int64_t stride_n) {
    const View view = view_of(group);
    const AffineView &affine = forward.affine;
    On<TensorBuffer> x_buffer(call, x, view), dy_buffer(call, dy, view);
    begin_earlier(x_buffer, x, earlier);
    begin_earlier(dy_buffer, dy, earlier);
    On<GroupBuffer> mean = buffer_of(call, forward.mean, x, view);
    On<GroupBuffer> variance = buffer_of(call, forward.variance, x, view);
    On<GroupBuffer> gamma(call, affine.gamma, x, view, affine.gamma_n, affine.gamma_c);
    On<GroupBuffer> beta(call, affine.beta, x, view, affine.beta_n, affine.beta_c);
    On<GroupBuffer> of_dy(call, sum_dy, x, view, stride_n, 1), of_dy_xmu(call, sum_dy_xmu, x, view, stride_n, 1);
    const PlaneClass planes = channels_last({&x, &dy}) ? last_class(x.s) : plane_class(x.s);
    return launch(call, call.kernels.of[x.type].backward_reduce[planes], x_buffer, dy_buffer, mean, variance, gamma,
                  beta, forward.eps, slope_bits(forward.slope), kZero, of_dy, of_dy_xmu);
}

// What is known of forward, for all parts side by side: values of channels repeated, shared ones as they are.
class RepeatedForward {
public:
    explicit RepeatedForward(const Call &call)
        : call_(call), mean_(call.driver), variance_(call.driver), gamma_(call.driver), beta_(call.driver) {}

    hnorm_status repeat(const Planes &x, const ForwardPart &forward) {
        part_ = forward;
        HNORM_TRY(repeat(x, &part_.mean.data, &part_.mean.stride_n, &part_.mean.stride_c, mean_));
        if (forward.slope == 1) {  // nothing else matters then
            part_.variance = {call_.constants.one, 0, 0};
            part_.affine = {call_.constants.one_float, call_.constants.zero_float, 0, 0, 0, 0};
            return HNORM_OK;
        }
        AffineView &affine = part_.affine;
        HNORM_TRY(repeat(x, &part_.variance.data, &part_.variance.stride_n, &part_.variance.stride_c, variance_));
        HNORM_TRY(repeat(x, &affine.gamma, &affine.gamma_n, &affine.gamma_c, gamma_));
        return repeat(x, &affine.beta, &affine.beta_n, &affine.beta_c, beta_);
    }
    const ForwardPart &part() const { return part_; }

private:
    template <typename T>
    hnorm_status repeat(const Planes &x, const T **values, int64_t *stride_n, int64_t *stride_c, Scratch &scratch) {
        if (*stride_n == 0 && *stride_c == 0) {
            return HNORM_OK;
        }
        Planes parts = narrow_parts(x), groups = x;
        if (*stride_n == 0) parts.n = groups.n = 1;
        HNORM_TRY(scratch.reserve(call_.function, parts.n * parts.c * static_cast<int64_t>(sizeof(T))));
        On<GroupBuffer> in(call_, *values, groups, View::kInstance, *stride_n, *stride_c);
        On<GroupBuffer> out(call_, scratch.as<T>(), parts, View::kInstance, parts.c, 1);
        HNORM_TRY(launch(call_, sizeof(T) == sizeof(float) ? call_.kernels.repeat_float : call_.kernels.repeat, in,
                         static_cast<int32_t>(x.c), out));
        *values = scratch.as<T>();
        *stride_n = *stride_n == 0 ? 0 : parts.c;
        *stride_c = 1;
        return HNORM_OK;
    }

    const Call &call_;
    Scratch mean_, variance_, gamma_, beta_;
    ForwardPart part_ = {};
};

hnorm_status narrow_sums(const Call &call, const Planes &given_x, const Planes &given_dy, hnorm_group group,
                         const ForwardPart &forward, double *sum_dy, double *sum_dy_xmu) {
    DensePlanes dense_x(call), dense_dy(call);
    HNORM_TRY(dense_x.hold(given_x));
    HNORM_TRY(dense_dy.hold(given_dy));
    const Planes &x = dense_x.planes(), &dy = dense_dy.planes();
    PartResults results(call, x, group);
    HNORM_TRY(results.reserve());
    RepeatedForward repeated(call);
    HNORM_TRY(repeated.repeat(x, forward));
    const Planes parts = narrow_parts(x);
    HNORM_TRY(
        sums_of(call, parts, narrow_parts(dy), 0, group, repeated.part(), results.first(), results.second(), parts.c));
    if (results.remains()) {
        int64_t earlier;
        HNORM_TRY(sums_of(call, remaining(x, &earlier), remaining(dy, &earlier), x.s - x.s % kNarrowParts, group,
                          forward, results.rest_first(), results.rest_second(), x.c));
    }
    const View view = view_of(group);
    On<GroupBuffer> of_dy(call, results.first(), parts, view, parts.c, 1);
    On<GroupBuffer> of_dy_xmu(call, results.second(), parts, view, parts.c, 1);
    On<GroupBuffer> rest_dy(call, results.rest_first(), x, view, x.c, 1);
    On<GroupBuffer> rest_dy_xmu(call, results.rest_second(), x, view, x.c, 1);
    On<GroupBuffer> total_dy(call, sum_dy, x, view, x.c, 1), total_dy_xmu(call, sum_dy_xmu, x, view, x.c, 1);
    return launch(call, call.kernels.add_parts, of_dy, of_dy_xmu, rest_dy, rest_dy_xmu, static_cast<int32_t>(x.c),
                  results.parts(), total_dy, total_dy_xmu);
}

}  // namespace

hnorm_status backward_reduce(const Call &call, const Planes &x, const Planes &dy, hnorm_group group,
                             const ForwardPart &given, double *sum_dy, double *sum_dy_xmu) {
    ForwardPart forward = given;
    forward.affine = present(call, given.affine);
    const bool is_plane = is_one_plane(x, group);
    const Planes x_planes = is_plane ? one_plane(x) : x, dy_planes = is_plane ? one_plane(dy) : dy;
    const hnorm_group of = is_plane ? HNORM_INSTANCE : group;
    if (is_narrow({&x_planes, &dy_planes})) {
        return narrow_sums(call, x_planes, dy_planes, of, forward, sum_dy, sum_dy_xmu);
    }
    return sums_of(call, x_planes, dy_planes, 0, of, forward, sum_dy, sum_dy_xmu, x.c);
}

hnorm_status backward_apply(const Call &call, const Planes &x, const Planes &dy, const ForwardPart &forward,
                            const ApplySums &sums, const Planes &dx, double total) {
    const AffineView affine = present(call, forward.affine);
    const GroupValues *const all[] = {&forward.mean, &forward.variance, &sums.g1, &sums.g2, &sums.count};
    const bool per_sample = affine.per_sample() || std::any_of(std::begin(all), std::end(all), [](const auto *values) {
                                return values->stride_n != 0;
                            });
    if (x.s == 1 && x.n > 1 && !per_sample && channels_last({&x, &dy, &dx})) {
        return backward_apply(call, one_plane(x), one_plane(dy), forward, sums, one_plane(dx), total);
    }
    const View view = per_sample ? View::kInstance : View::kBatch;
    On<TensorBuffer> x_buffer(call, x, view), dy_buffer(call, dy, view), dx_buffer(call, dx, view);
    On<GroupBuffer> mean = buffer_of(call, forward.mean, x, view),
                    variance = buffer_of(call, forward.variance, x, view);
    On<GroupBuffer> g1 = buffer_of(call, sums.g1, x, view), g2 = buffer_of(call, sums.g2, x, view);
    On<GroupBuffer> count = buffer_of(call, sums.count, x, view);
    On<GroupBuffer> gamma(call, affine.gamma, x, view, affine.gamma_n, affine.gamma_c);
    On<GroupBuffer> beta(call, affine.beta, x, view, affine.beta_n, affine.beta_c);
    return launch(call, call.kernels.of[x.type].backward_apply[device_class({&x, &dy, &dx})], x_buffer, dy_buffer, mean,
                  variance, gamma, beta, g1, g2, count, forward.eps, slope_bits(forward.slope), total, kZero,
                  dx_buffer);
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

}  // namespace hnorm::gpu
