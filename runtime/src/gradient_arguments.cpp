#include "gradient_arguments.h"

#include "error.h"
#include "given.h"

namespace hnorm::detail {

namespace {

// post of the call, which may be null.
hnorm_status read_post_ops(const char *function, const hnorm_post_ops_gradient *given, GradientTensors *tensors,
                           float *slope) {
    *slope = 1;
    if (given == nullptr) {
        return HNORM_OK;
    }
    hnorm_post_ops_gradient post;
    HNORM_TRY(read_given(function, "post", *given, &post));
    HNORM_TRY(read_activation(function, "post.", post.activation, post.negative_slope, slope));
    if (*slope != 1 && post.dresidual && !post.y) {
        return fail(
            HNORM_INVALID_ARGUMENT,
            "%s: post.y is null but post.dresidual is not: behind an activation the residual's gradient needs y",
            function);
    }
    return tensors->read_residual(function, {"post.y", post.y, {}}, {"post.dresidual", post.dresidual, {}});
}

}  // namespace

hnorm_status check_read(const char *function, const Array &array, const GradientTensors &tensors) {
    HNORM_TRY(check_array(function, array, tensors.dy.planes.device));
    for (const NamedTensor *written : {&tensors.dx, &tensors.dresidual}) {
        HNORM_TRY(check_apart(function, array, written->name, written->planes));
    }
    return HNORM_OK;
}

hnorm_status check_written(const char *function, const Array &array, const GradientTensors &tensors,
                           std::initializer_list<Array> others) {
    HNORM_TRY(check_array(function, array, tensors.dy.planes.device));
    for (const NamedTensor *tensor : {&tensors.x, &tensors.dy, &tensors.dx, &tensors.y, &tensors.dresidual}) {
        HNORM_TRY(check_apart(function, array, tensor->name, tensor->planes));
    }
    for (const Array &other : others) {
        HNORM_TRY(check_apart(function, array, other, tensors.dy.planes.device));
    }
    return HNORM_OK;
}

hnorm_status read_parameters(const char *function, const hnorm_affine *affine, const GradientTensors &tensors,
                             AffineView *view) {
    HNORM_TRY(read_affine(function, affine, tensors.dy.planes, view, nullptr));
    for (const NamedTensor *written : {&tensors.dx, &tensors.dresidual}) {
        if (written->tensor) {
            HNORM_TRY(read_affine(function, affine, written->planes, view, written->name));
        }
    }
    return HNORM_OK;
}

hnorm_status read_backward(const char *function, bool needs_x, hnorm_group group, const double *mean,
                           const double *variance, const hnorm_affine *affine, double eps,
                           const hnorm_post_ops_gradient *post, float *dgamma, float *dbeta,
                           GradientTensors *its_tensors, Backward *b) {
    HNORM_TRY(its_tensors->read(function, needs_x, false));
    float slope;
    HNORM_TRY(read_post_ops(function, post, its_tensors, &slope));
    const GradientTensors &tensors = *its_tensors;
    const CheckedTensor &dy = tensors.dy.planes;
    Grouping grouping;
    HNORM_TRY(read_group(function, "group", group, dy.c, &grouping));
    const int64_t groups = grouping.count(dy);
    const Array means("mean", mean, groups), variances("variance", variance, groups);
    HNORM_TRY(check_read(function, means, tensors));
    HNORM_TRY(check_read(function, variances, tensors));
    AffineView view;
    HNORM_TRY(read_parameters(function, affine, tensors, &view));
    HNORM_TRY(check_eps(function, "eps", eps));
    const bool per_sample = affine && affine->stride_n != 0 && dy.n != 1;
    const int64_t gradients = per_sample ? dy.n * dy.c : dy.c;
    const Array dgammas("dgamma", dgamma, gradients), dbetas("dbeta", dbeta, gradients);
    const std::initializer_list<Array> read = {means, variances, gamma_array(view, dy), beta_array(view, dy)};
    for (const Array *array : {&dgammas, &dbetas}) {
        if (array->data != nullptr) {
            HNORM_TRY(check_written(function, *array, tensors, read));
        }
    }
    HNORM_TRY(check_apart(function, dgammas, dbetas, dy.device));
    *b = {};
    b->x = tensors.x.tensor ? tensors.x.planes : dy;
    b->dy = dy;
    b->dx = tensors.dx.tensor ? &tensors.dx.planes : nullptr;
    b->group = grouping;
    b->by = {group_values(mean, dy, grouping), group_values(variance, dy, grouping), view, eps};
    b->per_sample = per_sample;
    b->dgamma = dgamma;
    b->dbeta = dbeta;
    b->slope = slope;
    b->y = tensors.y.tensor && slope != 1 ? &tensors.y.planes : nullptr;
    b->dresidual = tensors.dresidual.tensor ? &tensors.dresidual.planes : nullptr;
    return HNORM_OK;
}

}  // namespace hnorm::detail
