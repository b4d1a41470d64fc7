// hnorm_normalize_backward, and what it computes.
#include "error.h"
#include "gradient_arguments.h"
#include "gradients.h"
#include "past_cache.h"
#include "residual_backward.h"

namespace hnorm::detail {

namespace {

// normalize is linear in x: with dy for x, mean 0 and beta 0 it gives its own gradient.
hnorm_status compute_frozen_dx(const char *function, const Machine &machine, const Backward &b) {
    const double no_mean = 0;
    const float no_beta = 0;
    const AffineView affine = {b.affine.gamma, &no_beta, b.affine.gamma_n, b.affine.gamma_c, 0, 0};
    return compute_normalize(function, machine, b.dy, {&no_mean, 0, 0}, group_values(b.variance, b.dy, b.group), affine,
                             b.eps, {}, *b.dx);
}

}  // namespace

hnorm_status compute_normalize_backward(const char *function, const Machine &machine, const Backward &given) {
    BehindResidualOnCpu behind(given);
    HNORM_TRY(behind.reserve(function));
    const Backward &b = behind.rest;
    const Range all = {0, b.dy.n, 0, b.dy.c};
    HNORM_TRY(behind.compute_dz(function, machine, all));
    const GroupValues mean = group_values(b.mean, b.x, b.group), variance = group_values(b.variance, b.x, b.group);
    GateValues gate;
    GradientSums sums(b);
    const bool parameters = b.dgamma || b.dbeta, by_sign = b.dx && b.slope != 1;
    if (parameters || by_sign) {
        HNORM_TRY(gate.compute(function, b.x, mean, variance, b.affine, b.eps, b.slope));
    }
    if (parameters) {  // before dx, which may overwrite x or dy
        HNORM_TRY(sums.reserve(function));
        HNORM_TRY(compute_backward_reduce(function, machine, b.x, b.dy, summed_group(b), mean, gate.gate(),
                                          sums.dy(all), sums.dy_xmu(all)));
        sums.weigh(all);
    }
    if (by_sign) {  // the sign is x's matter: backward's pointwise part, with sums of 0
        const double zero = 0, one = 1;
        GradientCoefficients coefficients;
        HNORM_TRY(coefficients.compute(function, b.x, mean, variance, b.affine, b.eps,
                                       {{&zero, 0, 0}, {&zero, 0, 0}, {&one, 0, 0}}));
        HNORM_TRY(compute_backward_apply(function, machine, b.x, b.dy, coefficients, gate.gate(), *b.dx,
                                         goes_past_cache(machine.dispatch(*b.dx), *b.dx, {&b.x, &b.dy})));
    } else if (b.dx) {
        HNORM_TRY(compute_frozen_dx(function, machine, b));
    }
    behind.write_dx(all);
    if (parameters) {
        sums.write_parameter_gradients();
    }
    return HNORM_OK;
}

}  // namespace hnorm::detail

using namespace hnorm::detail;

extern "C" {

hnorm_status hnorm_normalize_backward(const hnorm_tensor *x, const hnorm_tensor *dy, hnorm_group group,
                                      const double *mean, const double *variance, const hnorm_affine *affine,
                                      double eps, const hnorm_post_ops_gradient *post, const hnorm_tensor *dx,
                                      float *dgamma, float *dbeta) {
    const char *const function = "hnorm_normalize_backward";
    if (x == nullptr && dgamma != nullptr) {
        return fail(HNORM_INVALID_ARGUMENT, "%s: x is null but dgamma is not: gamma's gradient needs x", function);
    }
    GradientTensors tensors(x, dy, dx);
    RepeatedStatistics repeated;
    Backward b;
    HNORM_TRY(read_backward(function, false, group, mean, variance, affine, eps, post, dgamma, dbeta, &tensors,
                            &repeated, &b));
    if (x == nullptr && b.slope != 1 && !b.y) {
        return fail(HNORM_INVALID_ARGUMENT,
                    "%s: x is null and post.activation is %d: without post.y the activation's sign needs x", function,
                    static_cast<int>(post->activation));
    }
    Machine machine;
    HNORM_TRY(find_machine(function, b.dy.device, &machine, kBackward));
    if (b.dy.empty()) {
        return write_zeros(function, machine, b);
    }
    if (machine.device) {
        return machine.device->normalize_backward(function, b, false);
    }
    return compute_normalize_backward(function, machine, b);
}

}  // extern "C"
