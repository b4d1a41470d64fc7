// hnorm_backward, and what it computes.
#include <algorithm>

#include "error.h"
#include "gradient_arguments.h"
#include "gradients.h"
#include "residual_backward.h"
#include "sample_blocks.h"
#include "threads.h"

namespace hnorm::detail {

namespace {

// Elements of a tensor that a task takes at once, where groups are smaller: what it touches of five tensors stays in L2, and
// the cost of calling kernels does not show.
constexpr int64_t kElementsPerTask = 16384;

// Whether one kernel can do both passes, and that kernel, for whole groups in the range: it fills their sums and their dx.
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
    return kernel_status(function, kernels_of(hnorm_kernels_backward, machine, x)[plane_class(x.s)](
                                       x_buffer, dy_buffer, mean, variance, gamma, beta, b.eps, slope_bits(b.slope),
                                       dx_buffer, sum_dy, sum_dy_xmu));
}

// Blocks of whole groups, one a task: dz, and the gradients from it while it is in cache.
class Blocks {
public:
    // b.dy is dz's place already, dy where it comes from.
    Blocks(const char *function, const Machine &machine, const Backward &b, const Planes &dy, float slope,
           GradientSums &sums)
        : function_(function), machine_(machine), b_(b), dy_(dy), slope_(slope), sums_(sums) {
        const int64_t of_channel = b.x.s * (b.group == HNORM_BATCH ? b.x.n : 1);
        const int64_t together = machine.target->groups_per_task[plane_class(b.x.s)];
        const int64_t blocks = std::max<int64_t>(kElementsPerTask / (of_channel * together), 1);
        channels_ = std::min(blocks * together, b.x.c);
        per_sample_ = (b.x.c + channels_ - 1) / channels_;
        tasks_ = per_sample_ * (b.group == HNORM_BATCH ? 1 : b.x.n);
    }

    hnorm_status run() {
        const SerialScope serial(runs_serially(machine_, b_.x));
        return parallel_for(
            function_, tasks_, [](void *self, int64_t i) { return static_cast<Blocks *>(self)->task(i); }, this);
    }

private:
    hnorm_status task(int64_t i) {
        const int64_t first = i % per_sample_ * channels_;
        Range range = {0, b_.x.n, first, std::min(first + channels_, b_.x.c)};
        if (b_.group == HNORM_INSTANCE) {
            range.n_begin = i / per_sample_;
            range.n_end = range.n_begin + 1;
        }
        const Planes &y = b_.y ? *b_.y : dy_;
        HNORM_TRY(compute_activation_backward(function_, machine_, cropped(y, range), cropped(dy_, range), slope_,
                                              cropped(b_.dy, range)));
        return compute_fused(function_, machine_, b_, range, sums_);
    }

    const char *const function_;
    const Machine &machine_;
    const Backward &b_;
    const Planes &dy_;
    const float slope_;
    GradientSums &sums_;
    int64_t channels_, per_sample_, tasks_;
};

hnorm_status compute_blocks(const char *function, const Machine &machine, const Backward &b, const Planes &dy,
                            float slope, bool *done) {
    if (!fuses(machine, b)) {
        return HNORM_OK;
    }
    GradientSums sums(b);
    HNORM_TRY(sums.reserve(function));
    HNORM_TRY(Blocks(function, machine, b, dy, slope, sums).run());
    sums.write_parameter_gradients();
    *done = true;
    return HNORM_OK;
}

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
        return compute_residual_backward(function, machine, b, compute_backward, compute_blocks);
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
        HNORM_TRY(for_blocks_of_samples(function, machine, b.x, [&](const Range &samples) {
            return compute_part(function, machine, b, samples, sums);
        }));
    } else {
        HNORM_TRY(sums.reduce(function, machine));
        HNORM_TRY(compute_dx(function, machine, b, summed_group(b), sums.dy(), sums.dy_xmu()));
    }
    sums.write_parameter_gradients();
    return HNORM_OK;
}

}  // namespace hnorm::detail

using namespace hnorm::detail;

extern "C" {

hnorm_status hnorm_backward(const hnorm_tensor *x, const hnorm_tensor *dy, hnorm_group group, const double *mean,
                            const double *variance, const hnorm_affine *affine, double eps,
                            const hnorm_post_ops_gradient *post, const hnorm_tensor *dx, float *dgamma, float *dbeta) {
    const char *const function = "hnorm_backward";
    GradientTensors tensors(x, dy, dx);
    Backward b;
    HNORM_TRY(read_backward(function, true, group, mean, variance, affine, eps, post, dgamma, dbeta, &tensors, &b));
    HNORM_TRY(check_group_size(function, *x, b.x, group, ""));
    Machine machine;
    HNORM_TRY(find_machine(function, b.x.device, &machine));
    if (b.x.empty()) {
        return write_zeros(function, machine, b);
    }
    if (machine.device) {
        return machine.device->backward(function, b, false);
    }
    return compute_backward(function, machine, b);
}

}  // extern "C"
