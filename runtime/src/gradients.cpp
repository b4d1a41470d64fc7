#include "gradients.h"

#include <algorithm>
#include <cmath>

#include "error.h"
#include "residual_backward.h"
#include "threads.h"

namespace hnorm::detail {

namespace {

// The groups whose sums are taken: those of the statistics, or each sample's part of them where gamma's gradient needs it.
hnorm_group summed_group(const Backward &b) { return b.per_sample ? HNORM_INSTANCE : b.group; }

// Between the statistics of one sample's groups and the next's.
int64_t statistics_stride(const Planes &x, hnorm_group group) { return group == HNORM_BATCH ? 0 : x.c; }

// Calls visit(n, c, n*channels + c).
template <typename Visit>
void for_each_plane(int64_t samples, int64_t channels, const Visit &visit) {
    for (int64_t n = 0, i = 0; n < samples; ++n) {
        for (int64_t c = 0; c < channels; ++c, ++i) {
            visit(n, c, i);
        }
    }
}

// normalize is linear in x: with dy for x, mean 0 and beta 0 it gives its own gradient.
hnorm_status compute_frozen_dx(const char *function, const Machine &machine, const Backward &b) {
    const double no_mean = 0;
    const float no_beta = 0;
    const AffineView affine = {b.affine.gamma, &no_beta, b.affine.gamma_n, b.affine.gamma_c, 0, 0};
    return compute_normalize(function, machine, b.dy, {&no_mean, 0, 0}, group_values(b.variance, b.dy, b.group), affine,
                             b.eps, {}, *b.dx);
}

ForwardPart forward_part(const Backward &b) {
    return {group_values(b.mean, b.x, b.group), group_values(b.variance, b.x, b.group), b.affine, b.eps, b.slope};
}

}  // namespace

GradientSums::GradientSums(const Backward &b) : b_(b), group_(summed_group(b)), groups_(b.x.groups(group_)) {}

hnorm_status GradientSums::reduce(const char *function, const Machine &machine) {
    return compute_backward_reduce(function, machine, b_.x, b_.dy, group_, forward_part(b_), dy(), dy_xmu());
}

void GradientSums::write_parameter_gradients() {
    if (b_.dgamma) {
        const int64_t stride_n = statistics_stride(b_.x, b_.group);
        for_each_plane(groups_ / b_.x.c, b_.x.c, [&](int64_t n, int64_t c, int64_t i) {
            dy_xmu()[i] *= 1 / std::sqrt(b_.variance[n * stride_n + c] + b_.eps);
        });
        write(dy_xmu(), b_.dgamma);
    }
    if (b_.dbeta) {
        write(dy(), b_.dbeta);
    }
}

// One gradient a group, or, shared by the groups of a channel, their sum in sums' first row.
void GradientSums::write(double *sums, float *gradient) const {
    if (!b_.per_sample) {
        for_each_plane(groups_ / b_.x.c, b_.x.c,
                       [&](int64_t n, int64_t c, int64_t i) { sums[c] = n == 0 ? sums[c] : sums[c] + sums[i]; });
    }
    std::copy_n(sums, b_.per_sample ? groups_ : b_.x.c, gradient);
}

bool fuses(const Machine &machine, const Backward &b) {
    // The kernel has one gamma a group.
    return b.dx && summed_group(b) == b.group && !channels_last({&b.x, &b.dy, b.dx}) &&
           works_on_groups(machine, b.x, b.group);
}

hnorm_status compute_fused(const char *function, const Machine &machine, const Backward &b, const Range &range,
                           GradientSums &sums) {
    const View view = view_of(b.group);
    const int64_t stride_n = statistics_stride(b.x, b.group), first = range.n_begin * stride_n + range.c_begin;
    const Planes x = cropped(b.x, range);
    const AffineView &affine = b.affine;
    TensorBuffer x_buffer(x, view), dy_buffer(cropped(b.dy, range), view), dx_buffer(cropped(*b.dx, range), view);
    const auto of_groups = [&](const double *values) { return GroupBuffer(values + first, x, view, stride_n, 1); };
    GroupBuffer mean = of_groups(b.mean), variance = of_groups(b.variance);
    GroupBuffer sum_dy = of_groups(sums.dy()), sum_dy_xmu = of_groups(sums.dy_xmu());
    const int64_t n = range.n_begin, c = range.c_begin;
    GroupBuffer gamma(affine.gamma + n * affine.gamma_n + c * affine.gamma_c, x, view, affine.gamma_n, affine.gamma_c);
    GroupBuffer beta(affine.beta + n * affine.beta_n + c * affine.beta_c, x, view, affine.beta_n, affine.beta_c);
    const SerialScope serial(runs_serially(machine, b.x));
    return kernel_status(function,
                         kernels_of(machine, x)
                             .backward_groups[plane_class(x.s)](x_buffer, dy_buffer, mean, variance, gamma, beta, b.eps,
                                                                slope_bits(b.slope), dx_buffer, sum_dy, sum_dy_xmu));
}

void times_gamma(const Planes &x, const AffineView &affine, hnorm_group summed, hnorm_group group, const double *sum_dy,
                 const double *sum_dy_xmu, double *g1, double *g2) {
    const bool apart = summed != group;
    if (apart) {
        std::fill_n(g1, x.c, 0.0);
        std::fill_n(g2, x.c, 0.0);
    }
    for_each_plane(x.groups(summed) / x.c, x.c, [&](int64_t n, int64_t c, int64_t i) {
        const double gamma = affine.gamma[n * affine.gamma_n + c * affine.gamma_c];
        const double product_1 = gamma * sum_dy[i], product_2 = gamma * sum_dy_xmu[i];
        g1[apart ? c : i] = apart ? g1[c] + product_1 : product_1;
        g2[apart ? c : i] = apart ? g2[c] + product_2 : product_2;
    });
}

hnorm_status compute_backward_reduce(const char *function, const Machine &machine, const Planes &x, const Planes &dy,
                                     hnorm_group group, const ForwardPart &forward, double *sum_dy,
                                     double *sum_dy_xmu) {
    if (is_one_plane(x, group)) {
        // Channels that are apart are summed one by one, as in compute_moments.
        const int64_t step = channels_last({&x, &dy}) ? x.c : 1;
        for (int64_t c = 0; c < x.c; c += step) {
            const Range range = {0, x.n, c, c + step};
            HNORM_TRY(compute_backward_reduce(function, machine, one_plane(cropped(x, range)),
                                              one_plane(cropped(dy, range)), HNORM_INSTANCE, forward.from_channel(c),
                                              sum_dy + c, sum_dy_xmu + c));
        }
        return HNORM_OK;
    }
    const View view = view_of(group);
    const AffineView &affine = forward.affine;
    TensorBuffer x_buffer(x, view), dy_buffer(dy, view);
    GroupBuffer mean(forward.mean.data, x, view, forward.mean.stride_n, forward.mean.stride_c);
    GroupBuffer variance(forward.variance.data, x, view, forward.variance.stride_n, forward.variance.stride_c);
    GroupBuffer gamma(affine.gamma, x, view, affine.gamma_n, affine.gamma_c);
    GroupBuffer beta(affine.beta, x, view, affine.beta_n, affine.beta_c);
    GroupBuffer sum_dy_buffer(sum_dy, x, view, x.c, 1), sum_dy_xmu_buffer(sum_dy_xmu, x, view, x.c, 1);
    const SerialScope serial(runs_serially(machine, x));
    // Planes of one position may be of either layout, each tensor its own: the kernel for channels that are apart takes both.
    const bool last = channels_last({&x, &dy});
    const ElementKernels &kernels = kernels_of(machine, x);
    const bool split = !last && !works_on_groups(machine, x, group);
    return kernel_status(function, (split ? kernels.backward_reduce_split
                                          : kernels.backward_reduce_groups)[last ? last_class(x.s) : plane_class(x.s)](
                                       x_buffer, dy_buffer, mean, variance, gamma, beta, forward.eps,
                                       slope_bits(forward.slope), sum_dy_buffer, sum_dy_xmu_buffer));
}

hnorm_status compute_activation_backward(const char *function, const Machine &machine, const Planes &y,
                                         const Planes &dy, float slope, const Planes &dz) {
    if (y.s == 1 && y.n > 1 && channels_last({&y, &dy, &dz})) {
        return compute_activation_backward(function, machine, one_plane(y), one_plane(dy), slope, one_plane(dz));
    }
    TensorBuffer y_buffer(y, View::kBatch), dy_buffer(dy, View::kBatch), dz_buffer(dz, View::kBatch);
    const SerialScope serial(runs_serially(machine, y));
    return kernel_status(function, kernels_of(machine, y)
                                       .activation_backward[pointwise_class({&y, &dy, &dz})](
                                           y_buffer, dy_buffer, slope_bits(slope), dz_buffer));
}

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
    const View view = per_sample ? View::kInstance : View::kBatch;
    TensorBuffer x_buffer(x, view), dy_buffer(dy, view), dx_buffer(dx, view);
    const auto buffer = [&](const GroupValues &v) { return GroupBuffer(v.data, x, view, v.stride_n, v.stride_c); };
    GroupBuffer mean = buffer(forward.mean), variance = buffer(forward.variance);
    GroupBuffer g1 = buffer(sums.g1), g2 = buffer(sums.g2), count = buffer(sums.count);
    GroupBuffer gamma(affine.gamma, x, view, affine.gamma_n, affine.gamma_c);
    GroupBuffer beta(affine.beta, x, view, affine.beta_n, affine.beta_c);
    const SerialScope serial(runs_serially(machine, x));
    return kernel_status(function, kernels_of(machine, x)
                                       .backward_apply[pointwise_class({&x, &dy, &dx})](
                                           x_buffer, dy_buffer, mean, variance, gamma, beta, g1, g2, count, forward.eps,
                                           slope_bits(forward.slope), dx_buffer));
}

namespace {

// dx from sums over the groups of `summed`.
hnorm_status compute_dx(const char *function, const Machine &machine, const Backward &b, hnorm_group summed,
                        const double *sum_dy, const double *sum_dy_xmu) {
    const int64_t groups = b.x.groups(b.group);
    const auto total = static_cast<double>(b.x.group_size(b.group));
    Scratch g;
    HNORM_TRY(g.reserve(function, 2 * groups));
    double *const g1 = g.data(), *const g2 = g.data() + groups;
    times_gamma(b.x, b.affine, summed, b.group, sum_dy, sum_dy_xmu, g1, g2);
    return compute_backward_apply(function, machine, b.x, b.dy, forward_part(b),
                                  {group_values(g1, b.x, b.group), group_values(g2, b.x, b.group), {&total, 0, 0}},
                                  *b.dx);
}

// The sums and dx of some samples, of an instance norm.
hnorm_status compute_part(const char *function, const Machine &machine, const Backward &b, const Range &samples,
                          GradientSums &sums) {
    const int64_t first = samples.n_begin * b.x.c;
    const Planes dx = cropped(*b.dx, samples);
    Backward part = b;
    part.x = cropped(b.x, samples);
    part.dy = cropped(b.dy, samples);
    part.dx = &dx;
    part.mean += first;
    part.variance += first;
    part.affine = b.affine.from_sample(samples.n_begin);
    HNORM_TRY(compute_backward_reduce(function, machine, part.x, part.dy, HNORM_INSTANCE, forward_part(part),
                                      sums.dy() + first, sums.dy_xmu() + first));
    return compute_dx(function, machine, part, HNORM_INSTANCE, sums.dy() + first, sums.dy_xmu() + first);
}

}  // namespace

hnorm_status compute_backward(const char *function, const Machine &machine, const Backward &b) {
    if (b.has_residual()) {
        return compute_residual_backward(function, machine, b, compute_backward);
    }
    if (!b.dx && !b.dgamma && !b.dbeta) {
        return HNORM_OK;
    }
    GradientSums sums(b);
    HNORM_TRY(sums.reserve(function));
    if (fuses(machine, b)) {
        HNORM_TRY(compute_fused(function, machine, b, {0, b.x.n, 0, b.x.c}, sums));
    } else if (!b.dx) {
        HNORM_TRY(sums.reduce(function, machine));
    } else if (b.x.layout == Layout::kChannelsLast && b.group == HNORM_INSTANCE) {
        // In parts that stay in cache between the sums and what follows from them.
        const int64_t step = samples_together(b.x);
        for (int64_t n = 0; n < b.x.n; n += step) {
            HNORM_TRY(compute_part(function, machine, b, {n, std::min(n + step, b.x.n), 0, b.x.c}, sums));
        }
    } else {
        HNORM_TRY(sums.reduce(function, machine));
        HNORM_TRY(compute_dx(function, machine, b, summed_group(b), sums.dy(), sums.dy_xmu()));
    }
    sums.write_parameter_gradients();
    return HNORM_OK;
}

hnorm_status compute_normalize_backward(const char *function, const Machine &machine, const Backward &b) {
    if (b.has_residual()) {
        return compute_residual_backward(function, machine, b, compute_normalize_backward);
    }
    GradientSums sums(b);
    if (b.dgamma || b.dbeta) {  // before dx, which may overwrite x or dy
        HNORM_TRY(sums.reserve(function));
        HNORM_TRY(sums.reduce(function, machine));
    }
    if (b.dx && b.slope == 1) {
        HNORM_TRY(compute_frozen_dx(function, machine, b));
    } else if (b.dx) {  // the sign is x's matter: backward's pointwise part, with sums of 0
        const double zero = 0, one = 1;
        HNORM_TRY(compute_backward_apply(function, machine, b.x, b.dy, forward_part(b),
                                         {{&zero, 0, 0}, {&zero, 0, 0}, {&one, 0, 0}}, *b.dx));
    }
    if (b.dgamma || b.dbeta) {
        sums.write_parameter_gradients();
    }
    return HNORM_OK;
}

}  // namespace hnorm::detail
