// hnorm_backward, and what it computes.
#include "blocks.h"
#include "channel_groups.h"
#include "error.h"
#include "gradient_arguments.h"
#include "gradients.h"
#include "past_cache.h"
#include "residual_backward.h"

namespace hnorm::detail {

namespace {

// The sums of some groups, and their dx.
hnorm_status compute_block(const char *function, const Machine &machine, const Backward &b, const Range &range,
                           bool past_cache, GradientSums &sums) {
    const Planes x = cropped(b.x, range), dy = cropped(b.dy, range);
    const int64_t stride_n = groups_stride(b.x, b.group), first = range.first(stride_n);
    const GroupValues mean = {b.mean + first, stride_n, 1}, variance = {b.variance + first, stride_n, 1};
    const AffineView affine = b.affine.from(range.n_begin, range.c_begin);
    GateValues gate;
    HNORM_TRY(gate.compute(function, x, mean, variance, affine, b.eps, b.slope));
    const hnorm_group summed = summed_group(b);
    double *const sum_dy = sums.dy(range), *const sum_dy_xmu = sums.dy_xmu(range);
    HNORM_TRY(compute_backward_reduce(function, machine, x, dy, summed, mean, gate.gate(), sum_dy, sum_dy_xmu));
    if (!b.dx) {
        sums.weigh(range);
        return HNORM_OK;
    }
    const int64_t groups = x.groups(b.group);
    Scratch weighted;
    HNORM_TRY(weighted.reserve(function, 2 * groups));
    double *const g1 = weighted.data(), *const g2 = g1 + groups;
    times_gamma(x, affine, summed, b.group, sum_dy, sum_dy_xmu, g1, g2);
    if (b.together > 1) {
        add_channels(2 * groups, b.together, g1);
    }
    const auto total = static_cast<double>(b.x.group_size(b.group) * b.together);
    GradientCoefficients coefficients;
    HNORM_TRY(coefficients.compute(function, x, mean, variance, affine, b.eps,
                                   {group_values(g1, x, b.group), group_values(g2, x, b.group), {&total, 0, 0}}));
    sums.weigh(range);
    return compute_backward_apply(function, machine, x, dy, coefficients, gate.gate(), cropped(*b.dx, range),
                                  past_cache);
}

}  // namespace

hnorm_status compute_backward(const char *function, const Machine &machine, const Backward &given) {
    BehindResidualOnCpu behind(given);
    HNORM_TRY(behind.reserve(function));
    const Backward &b = behind.rest;
    const bool wanted = b.dx || b.dgamma || b.dbeta;
    GradientSums sums(b);
    HNORM_TRY(sums.reserve(function));
    const bool past_cache = b.dx && goes_past_cache(machine.dispatch(*b.dx), *b.dx, {&b.x, &b.dy});
    const auto compute = [&](const Range &range) {
        HNORM_TRY(behind.compute_dz(function, machine, range));
        if (wanted) {
            HNORM_TRY(compute_block(function, machine, b, range, past_cache, sums));
        }
        behind.write_dx(range);
        return HNORM_OK;
    };
    // Sums of each sample's part of batch norm's groups are not of blocks of groups.
    HNORM_TRY(summed_group(b) == b.group ? Blocks(machine, b.x, {b.group, b.together}, 2).for_each(function, compute)
                                         : compute({0, b.x.n, 0, b.x.c}));
    if (wanted) {
        sums.write_parameter_gradients();
    }
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
    RepeatedStatistics repeated;
    Backward b;
    HNORM_TRY(read_backward(function, true, group, mean, variance, affine, eps, post, dgamma, dbeta, &tensors,
                            &repeated, &b));
    HNORM_TRY(check_group_size(function, *x, b.x, {b.group, b.together}, ""));
    Machine machine;
    HNORM_TRY(find_machine(function, b.x.device, &machine, kBackward));
    if (b.x.empty()) {
        return write_zeros(function, machine, b);
    }
    if (machine.device) {
        return machine.device->backward(function, b, false);
    }
    return compute_backward(function, machine, b);
}

}  // extern "C"
