// hnorm_normalize_backward, and what it computes.
#include "error.h"
#include "gradient_arguments.h"
#include "gradients.h"
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

hnorm_status compute_normalize_backward(const char *function, const Machine &machine, const Backward &b) {
    if (b.has_residual()) {
        return compute_residual_backward(function, machine, b, compute_normalize_backward, nullptr);
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
    Backward b;
    HNORM_TRY(read_backward(function, false, group, mean, variance, affine, eps, post, dgamma, dbeta, &tensors, &b));
    if (x == nullptr && b.slope != 1 && !b.y) {
        return fail(HNORM_INVALID_ARGUMENT,
                    "%s: x is null and post.activation is %d: without post.y the activation's sign needs x", function,
                    static_cast<int>(post->activation));
    }
    Machine machine;
    HNORM_TRY(find_machine(function, b.dy.device, &machine));
    if (b.dy.empty()) {
        return write_zeros(function, machine, b);
    }
    if (machine.device) {
        return machine.device->normalize_backward(function, b, false);
    }
    return compute_normalize_backward(function, machine, b);
}

}  // extern "C"
