// hnorm_backward_apply, and what it computes.
#include <algorithm>
#include <cinttypes>
#include <cmath>

#include "error.h"
#include "gradient_arguments.h"
#include "gradients.h"
#include "narrow_gradients.h"
#include "threads.h"

namespace hnorm::detail {

namespace {

hnorm_status narrow_apply(const char *function, const Machine &machine, const Planes &x, const Planes &dy,
                          const ForwardPart &forward, const ApplySums &sums, const Planes &dx) {
    NarrowForwardPart repeated;
    HNORM_TRY(repeated.repeat(function, x, forward));
    NarrowGroupValues g1, g2, count;
    HNORM_TRY(g1.repeat(function, x, sums.g1));
    HNORM_TRY(g2.repeat(function, x, sums.g2));
    HNORM_TRY(count.repeat(function, x, sums.count));
    return for_parts_and_remainder(x, [&](const auto &of, bool parts) {
        return compute_backward_apply(function, machine, of(x), of(dy), parts ? repeated : forward,
                                      parts ? ApplySums{g1, g2, count} : sums, of(dx));
    });
}

}  // namespace

hnorm_status compute_backward_apply(const char *function, const Machine &machine, const Planes &x, const Planes &dy,
                                    const ForwardPart &forward, const ApplySums &sums, const Planes &dx) {
    // Pointwise, so the view is free, as in compute_normalize.
    const AffineView &affine = forward.affine;
    const GroupValues *const all[] = {&forward.mean, &forward.variance, &sums.g1, &sums.g2, &sums.count};
    const bool per_sample = affine.per_sample() || std::any_of(std::begin(all), std::end(all), [](const auto *values) {
                                return values->stride_n != 0;
                            });
    if (x.s == 1 && x.n > 1 && !per_sample && channels_last({&x, &dy, &dx})) {
        return compute_backward_apply(function, machine, one_plane(x), one_plane(dy), forward, sums, one_plane(dx));
    }
    if (is_narrow_and_dense({&x, &dy, &dx})) {
        return narrow_apply(function, machine, x, dy, forward, sums, dx);
    }
    const View view = per_sample ? View::kInstance : View::kBatch;
    TensorBuffer x_buffer(x, view), dy_buffer(dy, view), dx_buffer(dx, view);
    const auto buffer = [&](const GroupValues &v) { return GroupBuffer(v.data, x, view, v.stride_n, v.stride_c); };
    GroupBuffer mean = buffer(forward.mean), variance = buffer(forward.variance);
    GroupBuffer g1 = buffer(sums.g1), g2 = buffer(sums.g2), count = buffer(sums.count);
    GroupBuffer gamma(affine.gamma, x, view, affine.gamma_n, affine.gamma_c);
    GroupBuffer beta(affine.beta, x, view, affine.beta_n, affine.beta_c);
    const SerialScope serial(runs_serially(machine, x));
    return kernel_status(function,
                         kernels_of(hnorm_kernels_backward_apply, machine, x)[pointwise_class({&x, &dy, &dx})](
                             x_buffer, dy_buffer, mean, variance, gamma, beta, g1, g2, count, forward.eps,
                             slope_bits(forward.slope), dx_buffer));
}

}  // namespace hnorm::detail

using namespace hnorm::detail;

extern "C" {

hnorm_status hnorm_backward_apply(const hnorm_tensor *x, const hnorm_tensor *dy, hnorm_group group, const double *count,
                                  const double *mean, const double *variance, const double *sum_dy,
                                  const double *sum_dy_xmu, const hnorm_affine *affine, double eps,
                                  const hnorm_tensor *dx) {
    const char *const function = "hnorm_backward_apply";
    GradientTensors tensors(x, dy, dx);
    HNORM_TRY(tensors.read(function, true, true));
    HNORM_TRY(check_group(function, group));
    const Planes &in = tensors.x.planes;
    const int64_t groups = in.groups(group);
    for (const Array &array :
         {Array("count", count, groups), Array("mean", mean, groups), Array("variance", variance, groups),
          Array("sum_dy", sum_dy, groups), Array("sum_dy_xmu", sum_dy_xmu, groups)}) {
        HNORM_TRY(check_read(function, array, tensors));
    }
    AffineView view;
    HNORM_TRY(read_parameters(function, affine, tensors, &view));
    if (group == HNORM_BATCH && view.gamma_n != 0) {
        return fail(HNORM_INVALID_ARGUMENT,
                    "%s: affine.stride_n is %" PRId64
                    ": gamma must be per channel (stride_n 0) in batch norm, whose sums do not tell samples apart",
                    function, view.gamma_n);
    }
    HNORM_TRY(check_eps(function, "eps", eps));
    Machine machine;
    HNORM_TRY(find_machine(function, in.device, &machine));
    if (in.empty()) {
        return HNORM_OK;
    }
    if (machine.device) {
        return machine.device->backward_apply(function, in, tensors.dy.planes, group, count, mean, variance, sum_dy,
                                              sum_dy_xmu, view, eps, tensors.dx.planes);
    }
    for (int64_t i = 0; i < groups; ++i) {
        if (!(count[i] >= 1) || std::isinf(count[i])) {
            return fail(HNORM_INVALID_ARGUMENT, "%s: count[%" PRId64 "] is %g: it must be finite and 1 or more",
                        function, i, count[i]);
        }
    }
    Scratch g;
    HNORM_TRY(g.reserve(function, 2 * groups));
    double *const g1 = g.data(), *const g2 = g.data() + groups;
    times_gamma(in, view, group, group, sum_dy, sum_dy_xmu, g1, g2);
    const auto values = [&](const double *data) { return group_values(data, in, group); };
    return compute_backward_apply(function, machine, in, tensors.dy.planes,
                                  {values(mean), values(variance), view, eps, 1},
                                  {values(g1), values(g2), values(count)}, tensors.dx.planes);
}

}  // extern "C"
