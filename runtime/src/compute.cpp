#include "compute.h"

#include <algorithm>
#include <cinttypes>
#include <new>

#include "error.h"
#include "targets.h"
#include "threads.h"

namespace hnorm::detail {

const ElementKernels &kernels_of(const Machine &machine, const Planes &x) { return machine.kernels->of[x.type]; }

bool channels_last(std::initializer_list<const Planes *> tensors) {
    const auto last = [](const Planes *p) { return p != nullptr && p->layout == Layout::kChannelsLast; };
    const auto first = [](const Planes *p) { return p != nullptr && p->layout == Layout::kChannelsFirst; };
    const Planes &x = **tensors.begin();
    return x.s > 1 && x.c == 1 ? std::any_of(tensors.begin(), tensors.end(), last)
                               : std::none_of(tensors.begin(), tensors.end(), first);
}

PlaneClass pointwise_class(std::initializer_list<const Planes *> tensors) {
    return channels_last(tensors) ? kLast : plane_class((*tensors.begin())->s);
}
PlaneClass reduction_class(const Planes &x) {
    return x.layout == Layout::kChannelsLast ? last_class(x.s) : plane_class(x.s);
}

bool is_one_plane(const Planes &x, hnorm_group group) { return x.s == 1 && group == HNORM_BATCH; }

Planes one_plane(const Planes &x) {
    Planes p = x;
    p.layout = Layout::kChannelsLast;
    p.s = x.n;
    p.stride_s = x.n > 1 ? x.stride_n : 1;
    p.n = 1;
    p.stride_n = 0;
    return p;
}

Planes cropped(Planes p, const Range &range) {
    p.data = p.at(range.n_begin, range.c_begin);
    p.n = range.n_end - range.n_begin;
    p.c = range.c_end - range.c_begin;
    return p;
}

int64_t samples_together(const Planes &x) {
    constexpr int64_t kElements = 1 << 18;
    return std::clamp<int64_t>(kElements / (x.c * x.s), 1, x.n);
}

bool runs_serially(const Machine &machine, const Planes &x) {
    return machine.threads == 1 || x.elements() < machine.kernels->serial_below;
}

bool works_on_groups(const Machine &machine, const Planes &x, hnorm_group group) {
    if (x.layout == Layout::kChannelsLast || is_one_plane(x, group)) {
        return false;
    }
    return runs_serially(machine, x) ||
           !splits_groups(*machine.kernels, plane_class(x.s), x.c, group == HNORM_INSTANCE ? x.n : 1, machine.threads);
}

hnorm_status find_machine(const char *function, Machine *machine) {
    HNORM_TRY(active_kernels(function, &machine->kernels));
    return thread_count(function, &machine->threads);
}

hnorm_status compute_moments(const char *function, const Machine &machine, const Planes &x, hnorm_group group,
                             double *mean, double *m2) {
    if (is_one_plane(x, group)) {
        // Channels that are apart are summed one by one, for their kernel wants them adjacent.
        const int64_t step = x.layout == Layout::kChannelsLast ? x.c : 1;
        for (int64_t c = 0; c < x.c; c += step) {
            const Planes part = one_plane(cropped(x, {0, x.n, c, c + step}));
            HNORM_TRY(compute_moments(function, machine, part, HNORM_INSTANCE, mean + c, m2 + c));
        }
        return HNORM_OK;
    }
    const View view = view_of(group);
    TensorBuffer x_buffer(x, view);
    GroupBuffer mean_buffer(mean, x, view, x.c, 1), m2_buffer(m2, x, view, x.c, 1);
    const SerialScope serial(runs_serially(machine, x));
    const ElementKernels &kernels = kernels_of(machine, x);
    const bool split = x.layout == Layout::kChannelsFirst && !works_on_groups(machine, x, group);
    return kernel_status(function, (split ? kernels.moments_split : kernels.moments_groups)[reduction_class(x)](
                                       x_buffer, mean_buffer, m2_buffer));
}

hnorm_status compute_normalize(const char *function, const Machine &machine, const Planes &x, const GroupValues &mean,
                               const GroupValues &variance, const AffineView &affine, double eps, const PostOps &post,
                               const Planes &y) {
    // Pointwise, so the view is free: the batch view where everything is per channel, else the one that has samples.
    const bool per_sample = mean.stride_n != 0 || variance.stride_n != 0 || affine.per_sample();
    if (x.s == 1 && x.n > 1 && !per_sample && channels_last({&x, &y, post.residual})) {
        PostOps plane_post = post;
        Planes residual;
        if (post.residual) {
            residual = one_plane(*post.residual);
            plane_post.residual = &residual;
        }
        return compute_normalize(function, machine, one_plane(x), mean, variance, affine, eps, plane_post,
                                 one_plane(y));
    }
    const View view = per_sample ? View::kInstance : View::kBatch;
    TensorBuffer x_buffer(x, view), y_buffer(y, view);
    GroupBuffer mean_buffer(mean.data, x, view, mean.stride_n, mean.stride_c);
    GroupBuffer variance_buffer(variance.data, x, view, variance.stride_n, variance.stride_c);
    GroupBuffer gamma(affine.gamma, x, view, affine.gamma_n, affine.gamma_c);
    GroupBuffer beta(affine.beta, x, view, affine.beta_n, affine.beta_c);
    const SerialScope serial(runs_serially(machine, x));
    const PlaneClass planes = pointwise_class({&x, &y, post.residual});
    if (post.residual) {
        TensorBuffer residual(*post.residual, view);
        return kernel_status(function,
                             kernels_of(machine, x)
                                 .normalize_residual[planes](x_buffer, mean_buffer, variance_buffer, gamma, beta, eps,
                                                             slope_bits(post.slope), residual, y_buffer));
    }
    return kernel_status(function, kernels_of(machine, x)
                                       .normalize[planes](x_buffer, mean_buffer, variance_buffer, gamma, beta, eps,
                                                          slope_bits(post.slope), y_buffer));
}

hnorm_status compute_forward(const char *function, const Machine &machine, const Planes &x, hnorm_group group,
                             const AffineView &affine, double eps, const PostOps &post, const Planes &y, double *mean,
                             double *variance) {
    // The forward kernel has one gamma and beta a group.
    const bool affine_fits = group == HNORM_INSTANCE || !affine.per_sample();
    if (!affine_fits || channels_last({&x, &y, post.residual}) || !works_on_groups(machine, x, group)) {
        const auto total = static_cast<double>(x.group_size(group));
        const bool in_parts = x.layout == Layout::kChannelsLast && group == HNORM_INSTANCE;
        const int64_t step = in_parts ? samples_together(x) : x.n;
        for (int64_t n = 0; n < x.n; n += step) {
            const Range range = {n, std::min(n + step, x.n), 0, x.c};
            const Planes part = cropped(x, range);
            double *const part_mean = mean + (in_parts ? n * x.c : 0);
            double *const part_variance = variance + (in_parts ? n * x.c : 0);
            HNORM_TRY(compute_moments(function, machine, part, group, part_mean, part_variance));
            std::for_each_n(part_variance, part.groups(group), [total](double &value) { value /= total; });
            PostOps part_post = post;
            Planes residual;
            if (post.residual) {
                residual = cropped(*post.residual, range);
                part_post.residual = &residual;
            }
            HNORM_TRY(compute_normalize(function, machine, part, group_values(part_mean, part, group),
                                        group_values(part_variance, part, group), affine.from_sample(n), eps, part_post,
                                        cropped(y, range)));
        }
        return HNORM_OK;
    }
    const View view = view_of(group);
    TensorBuffer x_buffer(x, view), y_buffer(y, view);
    GroupBuffer gamma(affine.gamma, x, view, affine.gamma_n, affine.gamma_c);
    GroupBuffer beta(affine.beta, x, view, affine.beta_n, affine.beta_c);
    GroupBuffer mean_buffer(mean, x, view, x.c, 1), variance_buffer(variance, x, view, x.c, 1);
    const SerialScope serial(runs_serially(machine, x));
    const PlaneClass planes = pointwise_class({&x, &y, post.residual});
    if (post.residual) {
        TensorBuffer residual(*post.residual, view);
        return kernel_status(
            function, kernels_of(machine, x)
                          .forward_residual_groups[planes](x_buffer, gamma, beta, eps, slope_bits(post.slope), residual,
                                                           y_buffer, mean_buffer, variance_buffer));
    }
    return kernel_status(function, kernels_of(machine, x)
                                       .forward_groups[planes](x_buffer, gamma, beta, eps, slope_bits(post.slope),
                                                               y_buffer, mean_buffer, variance_buffer));
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
