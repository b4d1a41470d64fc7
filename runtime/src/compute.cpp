#include "compute.h"

#include <cinttypes>
#include <new>

#include "error.h"
#include "targets.h"
#include "threads.h"

namespace hnorm::detail {

bool runs_serially(const Machine &machine, const Planes &x) {
    return machine.threads == 1 || x.elements() < machine.kernels->serial_below;
}

bool runs_split(const Machine &machine, const Planes &x, hnorm_group group) {
    return !runs_serially(machine, x) &&
           splits_groups(*machine.kernels, plane_class(x.s), x.c, group == HNORM_INSTANCE ? x.n : 1, machine.threads);
}

hnorm_status find_machine(const char *function, Machine *machine) {
    HNORM_TRY(active_kernels(function, &machine->kernels));
    return thread_count(function, &machine->threads);
}

hnorm_status compute_moments(const char *function, const Machine &machine, const Planes &x, hnorm_group group,
                             double *mean, double *m2) {
    const View view = view_of(group);
    TensorBuffer x_buffer(x, view);
    GroupBuffer mean_buffer(mean, x, view, x.c, 1), m2_buffer(m2, x, view, x.c, 1);
    const SerialScope serial(runs_serially(machine, x));
    const auto &kernels =
        runs_split(machine, x, group) ? machine.kernels->moments_split : machine.kernels->moments_groups;
    return kernel_status(function, kernels[plane_class(x.s)](x_buffer, mean_buffer, m2_buffer));
}

hnorm_status compute_normalize(const char *function, const Machine &machine, const Planes &x, const GroupValues &mean,
                               const GroupValues &variance, const AffineView &affine, double eps, const PostOps &post,
                               const Planes &y) {
    // Pointwise, so the view is free: the batch view where everything is per channel, else the one that has samples.
    const bool per_sample = mean.stride_n != 0 || variance.stride_n != 0 || affine.per_sample();
    const View view = per_sample ? View::kInstance : View::kBatch;
    TensorBuffer x_buffer(x, view), y_buffer(y, view);
    GroupBuffer mean_buffer(mean.data, x, view, mean.stride_n, mean.stride_c);
    GroupBuffer variance_buffer(variance.data, x, view, variance.stride_n, variance.stride_c);
    GroupBuffer gamma(affine.gamma, x, view, affine.gamma_n, affine.gamma_c);
    GroupBuffer beta(affine.beta, x, view, affine.beta_n, affine.beta_c);
    const SerialScope serial(runs_serially(machine, x));
    const PlaneClass planes = plane_class(x.s);
    if (post.residual) {
        TensorBuffer residual(*post.residual, view);
        return kernel_status(
            function, machine.kernels->normalize_residual[planes](x_buffer, mean_buffer, variance_buffer, gamma, beta,
                                                                  eps, slope_bits(post.slope), residual, y_buffer));
    }
    return kernel_status(function, machine.kernels->normalize[planes](x_buffer, mean_buffer, variance_buffer, gamma,
                                                                      beta, eps, slope_bits(post.slope), y_buffer));
}

hnorm_status compute_forward(const char *function, const Machine &machine, const Planes &x, hnorm_group group,
                             const AffineView &affine, double eps, const PostOps &post, const Planes &y, double *mean,
                             double *variance) {
    // The forward kernel has one gamma and beta a group.
    const bool affine_fits = group == HNORM_INSTANCE || !affine.per_sample();
    if (!affine_fits || runs_split(machine, x, group)) {
        HNORM_TRY(compute_moments(function, machine, x, group, mean, variance));
        const auto total = static_cast<double>(x.group_size(group));
        for (int64_t i = 0; i < x.groups(group); ++i) {
            variance[i] /= total;
        }
        return compute_normalize(function, machine, x, group_values(mean, x, group), group_values(variance, x, group),
                                 affine, eps, post, y);
    }
    const View view = view_of(group);
    TensorBuffer x_buffer(x, view), y_buffer(y, view);
    GroupBuffer gamma(affine.gamma, x, view, affine.gamma_n, affine.gamma_c);
    GroupBuffer beta(affine.beta, x, view, affine.beta_n, affine.beta_c);
    GroupBuffer mean_buffer(mean, x, view, x.c, 1), variance_buffer(variance, x, view, x.c, 1);
    const SerialScope serial(runs_serially(machine, x));
    const PlaneClass planes = plane_class(x.s);
    if (post.residual) {
        TensorBuffer residual(*post.residual, view);
        return kernel_status(function, machine.kernels->forward_residual_groups[planes](
                                           x_buffer, gamma, beta, eps, slope_bits(post.slope), residual, y_buffer,
                                           mean_buffer, variance_buffer));
    }
    return kernel_status(
        function, machine.kernels->forward_groups[planes](x_buffer, gamma, beta, eps, slope_bits(post.slope), y_buffer,
                                                          mean_buffer, variance_buffer));
}

hnorm_status Scratch::reserve(const char *function, int64_t count) {
    if (count > kSmall) {
        large_ = new (std::nothrow) double[static_cast<size_t>(count)];
        if (large_ == nullptr) {
            return fail(HNORM_OUT_OF_MEMORY, "%s: no memory for %" PRId64 " statistics", function, count);
        }
    }
    return HNORM_OK;
}

}  // namespace hnorm::detail
