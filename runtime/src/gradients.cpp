#include "gradients.h"

#include <algorithm>
#include <cmath>

#include "error.h"
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

// The sums over the groups of summed_group, and what of backward follows from them.
class Sums {
public:
    explicit Sums(const Backward &b) : b_(b), group_(summed_group(b)), groups_(b.x.groups(group_)) {}

    hnorm_status reserve(const char *function) { return scratch_.reserve(function, 2 * groups_); }
    double *dy() { return scratch_.data(); }
    double *dy_xmu() { return scratch_.data() + groups_; }

    hnorm_status reduce(const char *function, const Machine &machine) {
        return compute_backward_reduce(function, machine, b_.x, b_.dy, group_, b_.mean,
                                       statistics_stride(b_.x, b_.group), dy(), dy_xmu());
    }

    // The sums do not survive it.
    void write_parameter_gradients() {
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

private:
    // One gradient a group, or, shared by the groups of a channel, their sum in sums' first row.
    void write(double *sums, float *gradient) const {
        if (!b_.per_sample) {
            for_each_plane(groups_ / b_.x.c, b_.x.c,
                           [&](int64_t n, int64_t c, int64_t i) { sums[c] = n == 0 ? sums[c] : sums[c] + sums[i]; });
        }
        std::copy_n(sums, b_.per_sample ? groups_ : b_.x.c, gradient);
    }

    const Backward &b_;
    const hnorm_group group_;
    const int64_t groups_;
    Scratch scratch_;
};

// Both passes in one kernel, which has one gamma a group.
hnorm_status compute_fused(const char *function, const Machine &machine, const Backward &b, Sums &sums) {
    const View view = view_of(b.group);
    const Planes &x = b.x;
    TensorBuffer x_buffer(x, view), dy_buffer(b.dy, view), dx_buffer(*b.dx, view);
    GroupBuffer mean(b.mean, x, view, x.c, 1), variance(b.variance, x, view, x.c, 1);
    GroupBuffer gamma(b.affine.gamma, x, view, b.affine.gamma_n, b.affine.gamma_c);
    GroupBuffer sum_dy(sums.dy(), x, view, x.c, 1), sum_dy_xmu(sums.dy_xmu(), x, view, x.c, 1);
    const SerialScope serial(runs_serially(machine, x));
    return kernel_status(
        function, machine.kernels->backward_groups[plane_class(x.s)](x_buffer, dy_buffer, mean, variance, gamma, b.eps,
                                                                     dx_buffer, sum_dy, sum_dy_xmu));
}

// normalize is linear in x: with dy for x, mean 0 and beta 0 it gives its own gradient.
hnorm_status compute_frozen_dx(const char *function, const Machine &machine, const Backward &b) {
    const Planes &dy = b.dy;
    const int64_t stride_n = statistics_stride(dy, b.group);
    const View view = stride_n == 0 && b.affine.gamma_n == 0 ? View::kBatch : View::kInstance;
    const double no_mean = 0;
    const float no_beta = 0;
    TensorBuffer dy_buffer(dy, view), dx_buffer(*b.dx, view);
    GroupBuffer mean(&no_mean, dy, view, 0, 0), variance(b.variance, dy, view, stride_n, 1);
    GroupBuffer gamma(b.affine.gamma, dy, view, b.affine.gamma_n, b.affine.gamma_c), beta(&no_beta, dy, view, 0, 0);
    const SerialScope serial(runs_serially(machine, dy));
    return kernel_status(function, machine.kernels->normalize[plane_class(dy.s)](dy_buffer, mean, variance, gamma, beta,
                                                                                 b.eps, dx_buffer));
}

}  // namespace

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
                                     hnorm_group group, const double *mean, int64_t stride_n, double *sum_dy,
                                     double *sum_dy_xmu) {
    const View view = view_of(group);
    TensorBuffer x_buffer(x, view), dy_buffer(dy, view);
    GroupBuffer mean_buffer(mean, x, view, stride_n, 1);
    GroupBuffer sum_dy_buffer(sum_dy, x, view, x.c, 1), sum_dy_xmu_buffer(sum_dy_xmu, x, view, x.c, 1);
    const SerialScope serial(runs_serially(machine, x));
    const auto &kernels = runs_split(machine, x, group) ? machine.kernels->backward_reduce_split
                                                        : machine.kernels->backward_reduce_groups;
    return kernel_status(function,
                         kernels[plane_class(x.s)](x_buffer, dy_buffer, mean_buffer, sum_dy_buffer, sum_dy_xmu_buffer));
}

hnorm_status compute_backward_apply(const char *function, const Machine &machine, const Planes &x, const Planes &dy,
                                    hnorm_group group, const ApplyStatistics &statistics, const AffineView &affine,
                                    double eps, const Planes &dx) {
    // Pointwise, so the view is free, as in compute_normalize.
    const int64_t stride_n = statistics_stride(x, group);
    const View view = stride_n == 0 && affine.gamma_n == 0 ? View::kBatch : View::kInstance;
    TensorBuffer x_buffer(x, view), dy_buffer(dy, view), dx_buffer(dx, view);
    const auto buffer = [&](const double *values) { return GroupBuffer(values, x, view, stride_n, 1); };
    GroupBuffer mean = buffer(statistics.mean), variance = buffer(statistics.variance);
    GroupBuffer g1 = buffer(statistics.g1), g2 = buffer(statistics.g2);
    GroupBuffer gamma(affine.gamma, x, view, affine.gamma_n, affine.gamma_c);
    GroupBuffer count(statistics.count, x, view, statistics.one_count ? 0 : stride_n, statistics.one_count ? 0 : 1);
    const SerialScope serial(runs_serially(machine, x));
    return kernel_status(function, machine.kernels->backward_apply[plane_class(x.s)](
                                       x_buffer, dy_buffer, mean, variance, gamma, g1, g2, count, eps, dx_buffer));
}

hnorm_status compute_backward(const char *function, const Machine &machine, const Backward &b) {
    if (!b.dx && !b.dgamma && !b.dbeta) {
        return HNORM_OK;
    }
    Sums sums(b);
    HNORM_TRY(sums.reserve(function));
    const bool gamma_fits = summed_group(b) == b.group;
    if (b.dx && gamma_fits && !runs_split(machine, b.x, b.group)) {
        HNORM_TRY(compute_fused(function, machine, b, sums));
    } else {
        HNORM_TRY(sums.reduce(function, machine));
        if (b.dx) {
            const int64_t groups = b.x.groups(b.group);
            const auto total = static_cast<double>(b.x.group_size(b.group));
            Scratch g;
            HNORM_TRY(g.reserve(function, 2 * groups));
            double *const g1 = g.data(), *const g2 = g.data() + groups;
            times_gamma(b.x, b.affine, summed_group(b), b.group, sums.dy(), sums.dy_xmu(), g1, g2);
            HNORM_TRY(compute_backward_apply(function, machine, b.x, b.dy, b.group,
                                             {b.mean, b.variance, g1, g2, &total, true}, b.affine, b.eps, *b.dx));
        }
    }
    sums.write_parameter_gradients();
    return HNORM_OK;
}

hnorm_status compute_normalize_backward(const char *function, const Machine &machine, const Backward &b) {
    Sums sums(b);
    if (b.dgamma || b.dbeta) {  // before dx, which may overwrite x or dy
        HNORM_TRY(sums.reserve(function));
        HNORM_TRY(sums.reduce(function, machine));
    }
    if (b.dx) {
        HNORM_TRY(compute_frozen_dx(function, machine, b));
    }
    if (b.dgamma || b.dbeta) {
        sums.write_parameter_gradients();
    }
    return HNORM_OK;
}

}  // namespace hnorm::detail
