// hnorm_backward_reduce, and what it computes.
#include <algorithm>

#include "error.h"
#include "gradient_arguments.h"
#include "gradients.h"
#include "narrow_gradients.h"
#include "threads.h"

namespace hnorm::detail {

namespace {

// By one kernel. The results of samples lie stride_n apart.
hnorm_status sums_of(const char *function, const Machine &machine, const Planes &x, const Planes &dy, hnorm_group group,
                     const ForwardPart &forward, double *sum_dy, double *sum_dy_xmu, int64_t stride_n) {
    const View view = view_of(group);
    const AffineView &affine = forward.affine;
    TensorBuffer x_buffer(x, view), dy_buffer(dy, view);
    GroupBuffer mean(forward.mean.data, x, view, forward.mean.stride_n, forward.mean.stride_c);
    GroupBuffer variance(forward.variance.data, x, view, forward.variance.stride_n, forward.variance.stride_c);
    GroupBuffer gamma(affine.gamma, x, view, affine.gamma_n, affine.gamma_c);
    GroupBuffer beta(affine.beta, x, view, affine.beta_n, affine.beta_c);
    GroupBuffer sum_dy_buffer(sum_dy, x, view, stride_n, 1), sum_dy_xmu_buffer(sum_dy_xmu, x, view, stride_n, 1);
    const SerialScope serial(runs_serially(machine, x));
    // Planes of one position may be of either layout, each tensor its own: the kernel for channels that are apart takes both.
    const bool last = channels_last({&x, &dy});
    const bool split = !last && !works_on_groups(machine, x, group);
    return kernel_status(
        function, kernels_of(split ? hnorm_kernels_backward_reduce_split : hnorm_kernels_backward_reduce, machine,
                             x)[last ? last_class(x.s) : plane_class(x.s)](x_buffer, dy_buffer, mean, variance, gamma,
                                                                           beta, forward.eps, slope_bits(forward.slope),
                                                                           sum_dy_buffer, sum_dy_xmu_buffer));
}

hnorm_status narrow_sums(const char *function, const Machine &machine, const Planes &x, const Planes &dy,
                         hnorm_group group, const ForwardPart &forward, double *sum_dy, double *sum_dy_xmu) {
    NarrowResults results(x, group);
    HNORM_TRY(results.reserve(function));
    const bool at_once = is_narrow_and_dense({&x, &dy});
    NarrowForwardPart repeated;
    if (at_once) {
        HNORM_TRY(repeated.repeat(function, x, forward));
    }
    HNORM_TRY(results.fill(at_once, [&](const auto &of, int64_t i) {
        const ForwardPart of_call = at_once && i == 0 ? repeated : forward;
        return sums_of(function, machine, of(x), of(dy), group, of_call, results.first(i), results.second(i),
                       results.stride_n());
    }));
    results.for_each_group([&](const double *of_dy, const double *of_dy_xmu, int64_t g) {
        sum_dy[g] = sum_dy_xmu[g] = 0;
        for (int64_t i = 0; i < results.parts(); ++i) {
            sum_dy[g] += of_dy[i * x.c];
            sum_dy_xmu[g] += of_dy_xmu[i * x.c];
        }
    });
    return HNORM_OK;
}

hnorm_status sums_in_order(const char *function, const Machine &machine, const Planes &x, const Planes &dy,
                           hnorm_group group, const ForwardPart &forward, bool narrow, double *sum_dy,
                           double *sum_dy_xmu) {
    return narrow ? narrow_sums(function, machine, x, dy, group, forward, sum_dy, sum_dy_xmu)
                  : sums_of(function, machine, x, dy, group, forward, sum_dy, sum_dy_xmu, x.c);
}

}  // namespace

hnorm_status compute_backward_reduce(const char *function, const Machine &machine, const Planes &x, const Planes &dy,
                                     hnorm_group group, const ForwardPart &forward, double *sum_dy,
                                     double *sum_dy_xmu) {
    if (!is_one_plane(x, group)) {
        return sums_in_order(function, machine, x, dy, group, forward, is_narrow({&x, &dy}), sum_dy, sum_dy_xmu);
    }
    const Planes plane = one_plane(x);
    const bool narrow = is_narrow({&plane});
    // Channels that are apart are summed one by one, as in compute_moments.
    const int64_t step = channels_last({&x, &dy}) ? x.c : 1;
    for (int64_t c = 0; c < x.c; c += step) {
        const Range range = {0, x.n, c, c + step};
        HNORM_TRY(sums_in_order(function, machine, one_plane(cropped(x, range)), one_plane(cropped(dy, range)),
                                HNORM_INSTANCE, forward.from_channel(c), narrow, sum_dy + c, sum_dy_xmu + c));
    }
    return HNORM_OK;
}

}  // namespace hnorm::detail

using namespace hnorm::detail;

extern "C" {

hnorm_status hnorm_backward_reduce(const hnorm_tensor *x, const hnorm_tensor *dy, hnorm_group group, const double *mean,
                                   double *sum_dy, double *sum_dy_xmu) {
    const char *const function = "hnorm_backward_reduce";
    GradientTensors tensors(x, dy, nullptr);
    HNORM_TRY(tensors.read(function, true, false));
    HNORM_TRY(check_group(function, group));
    const Planes &in = tensors.x.planes;
    const int64_t groups = in.groups(group);
    const Array means("mean", mean, groups), sums("sum_dy", sum_dy, groups);
    HNORM_TRY(check_read(function, means, tensors));
    HNORM_TRY(check_written(function, sums, tensors, {means}));
    HNORM_TRY(check_written(function, {"sum_dy_xmu", sum_dy_xmu, groups}, tensors, {means, sums}));
    Machine machine;
    HNORM_TRY(find_machine(function, in.device, &machine));
    if (machine.device) {
        if (!in.empty()) {
            return machine.device->backward_reduce(function, in, tensors.dy.planes, group, mean, sum_dy, sum_dy_xmu);
        }
        HNORM_TRY(machine.device->fill_doubles(function, sum_dy, groups, 0));
        return machine.device->fill_doubles(function, sum_dy_xmu, groups, 0);
    }
    if (in.empty()) {
        std::fill_n(sum_dy, groups, 0.0);
        std::fill_n(sum_dy_xmu, groups, 0.0);
        return HNORM_OK;
    }
    AffineView no_affine;
    HNORM_TRY(read_affine(function, nullptr, in, &no_affine, nullptr));
    const double no_variance = 1;
    return compute_backward_reduce(function, machine, in, tensors.dy.planes, group,
                                   {group_values(mean, in, group), {&no_variance, 0, 0}, no_affine, 0, 1}, sum_dy,
                                   sum_dy_xmu);
}

}  // extern "C"
