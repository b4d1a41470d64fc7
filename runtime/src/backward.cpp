// The C functions of the gradients: validate everything, then compute.
#include <algorithm>
#include <cinttypes>
#include <cmath>
#include <initializer_list>

#include "error.h"
#include "gradient_tensors.h"
#include "gradients.h"

using namespace hnorm::detail;

namespace {

// An array that is read: apart from what is written.
hnorm_status check_read(const char *function, const Array &array, const GradientTensors &tensors) {
    HNORM_TRY(check_array(function, array));
    for (const NamedTensor *written : {&tensors.dx, &tensors.dresidual}) {
        HNORM_TRY(check_array(function, array, written->name, written->planes));
    }
    return HNORM_OK;
}

// An array that is written: apart from all tensors and from the other arrays.
hnorm_status check_written(const char *function, const Array &array, const GradientTensors &tensors,
                           std::initializer_list<Array> others) {
    for (const NamedTensor *tensor : {&tensors.x, &tensors.dy, &tensors.dx, &tensors.y, &tensors.dresidual}) {
        HNORM_TRY(check_array(function, array, tensor->name, tensor->planes));
    }
    for (const Array &other : others) {
        HNORM_TRY(check_apart(function, array, other));
    }
    return HNORM_OK;
}

// gamma's and beta's view.
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

// post of the call, which may be null.
hnorm_status read_post_ops(const char *function, const hnorm_post_ops_gradient *post, GradientTensors *tensors,
                           float *slope) {
    *slope = 1;
    if (post == nullptr) {
        return HNORM_OK;
    }
    HNORM_TRY(read_activation(function, "post.", post->activation, post->negative_slope, slope));
    if (*slope != 1 && post->dresidual && !post->y) {
        return fail(
            HNORM_INVALID_ARGUMENT,
            "%s: post.y is null but post.dresidual is not: behind an activation the residual's gradient needs y",
            function);
    }
    return tensors->read_residual(function, {"post.y", post->y, {}}, {"post.dresidual", post->dresidual, {}});
}

// What hnorm_backward and hnorm_normalize_backward have in common: everything but the tensors' presence and the group's size.
hnorm_status read_backward(const char *function, const GradientTensors &tensors, hnorm_group group, const double *mean,
                           const double *variance, const hnorm_affine *affine, double eps, float slope, float *dgamma,
                           float *dbeta, Backward *b) {
    HNORM_TRY(check_group(function, group));
    const Planes &dy = tensors.dy.planes;
    const Array means("mean", mean, dy.groups(group)), variances("variance", variance, dy.groups(group));
    HNORM_TRY(check_read(function, means, tensors));
    HNORM_TRY(check_read(function, variances, tensors));
    AffineView view;
    HNORM_TRY(read_parameters(function, affine, tensors, &view));
    HNORM_TRY(check_eps(function, "eps", eps));
    const bool per_sample = affine && affine->stride_n != 0 && dy.n != 1;
    const int64_t gradients = per_sample ? dy.n * dy.c : dy.c;
    const Array dgammas("dgamma", dgamma, gradients), dbetas("dbeta", dbeta, gradients);
    for (const Array *array : {&dgammas, &dbetas}) {
        if (array->data != nullptr) {
            HNORM_TRY(check_written(function, *array, tensors,
                                    {means, variances, gamma_array(view, dy), beta_array(view, dy)}));
        }
    }
    HNORM_TRY(check_apart(function, dgammas, dbetas));
    *b = {tensors.x.tensor ? tensors.x.planes : dy,
          dy,
          tensors.dx.tensor ? &tensors.dx.planes : nullptr,
          group,
          mean,
          variance,
          view,
          per_sample,
          eps,
          dgamma,
          dbeta,
          slope,
          tensors.y.tensor && slope != 1 ? &tensors.y.planes : nullptr,
          tensors.dresidual.tensor ? &tensors.dresidual.planes : nullptr};
    return HNORM_OK;
}

// The gradients of parameters that no element depends on.
void write_zeros(const Backward &b) {
    const int64_t gradients = b.per_sample ? b.dy.n * b.dy.c : b.dy.c;
    for (float *gradient : {b.dgamma, b.dbeta}) {
        if (gradient) {
            std::fill_n(gradient, gradients, 0.0F);
        }
    }
}

}  // namespace

extern "C" {

hnorm_status hnorm_backward_reduce(const hnorm_tensor *x, const hnorm_tensor *dy, hnorm_group group, const double *mean,
                                   double *sum_dy, double *sum_dy_xmu) {
    const char *const function = "hnorm_backward_reduce";
    GradientTensors tensors(x, dy, nullptr);
    HNORM_TRY(tensors.read(function, true, false));
    HNORM_TRY(check_group(function, group));
    const Planes &in = tensors.x.planes;
    const int64_t groups = in.groups(group);
    const Array means("mean", mean, groups), sums("sum_dy", sum_dy, groups);
    HNORM_TRY(check_read(function, means, tensors));
    HNORM_TRY(check_written(function, sums, tensors, {means}));
    HNORM_TRY(check_written(function, {"sum_dy_xmu", sum_dy_xmu, groups}, tensors, {means, sums}));
    Machine machine;
    HNORM_TRY(find_machine(function, &machine));
    if (in.empty()) {
        std::fill_n(sum_dy, groups, 0.0);
        std::fill_n(sum_dy_xmu, groups, 0.0);
        return HNORM_OK;
    }
    AffineView no_affine;
    HNORM_TRY(read_affine(function, nullptr, in, &no_affine, nullptr));
    const double no_variance = 1;
    return compute_backward_reduce(function, machine, in, tensors.dy.planes, group,
                                   {group_values(mean, in, group), {&no_variance, 0, 0}, no_affine, 0, 1}, sum_dy,
                                   sum_dy_xmu);
}

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
    HNORM_TRY(find_machine(function, &machine));
    if (in.empty()) {
        return HNORM_OK;
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

hnorm_status hnorm_activation_backward(const hnorm_tensor *y, const hnorm_tensor *dy, hnorm_activation activation,
                                       float negative_slope, const hnorm_tensor *dz) {
    const char *const function = "hnorm_activation_backward";
    NamedTensor from_y{"y", y, {}}, from_dy{"dy", dy, {}}, to_dz{"dz", dz, {}};
    for (NamedTensor *tensor : {&from_y, &from_dy, &to_dz}) {
        HNORM_TRY(read_tensor(function, tensor->name, tensor->tensor, &tensor->planes));
    }
    HNORM_TRY(check_same_shape(function, from_y, from_dy));
    HNORM_TRY(check_same_shape(function, from_y, to_dz));
    HNORM_TRY(check_places(function, from_y, to_dz));
    HNORM_TRY(check_places(function, from_dy, to_dz));
    float slope;
    HNORM_TRY(read_activation(function, "", activation, negative_slope, &slope));
    Machine machine;
    HNORM_TRY(find_machine(function, &machine));
    if (from_y.planes.empty()) {
        return HNORM_OK;
    }
    return compute_activation_backward(function, machine, from_y.planes, from_dy.planes, slope, to_dz.planes);
}

hnorm_status hnorm_backward(const hnorm_tensor *x, const hnorm_tensor *dy, hnorm_group group, const double *mean,
                            const double *variance, const hnorm_affine *affine, double eps,
                            const hnorm_post_ops_gradient *post, const hnorm_tensor *dx, float *dgamma, float *dbeta) {
    const char *const function = "hnorm_backward";
    GradientTensors tensors(x, dy, dx);
    HNORM_TRY(tensors.read(function, true, false));
    float slope;
    HNORM_TRY(read_post_ops(function, post, &tensors, &slope));
    Backward b;
    HNORM_TRY(read_backward(function, tensors, group, mean, variance, affine, eps, slope, dgamma, dbeta, &b));
    HNORM_TRY(check_group_size(function, *x, b.x, group, ""));
    Machine machine;
    HNORM_TRY(find_machine(function, &machine));
    if (b.x.empty()) {
        write_zeros(b);
        return HNORM_OK;
    }
    return compute_backward(function, machine, b);
}

hnorm_status hnorm_normalize_backward(const hnorm_tensor *x, const hnorm_tensor *dy, hnorm_group group,
                                      const double *mean, const double *variance, const hnorm_affine *affine,
                                      double eps, const hnorm_post_ops_gradient *post, const hnorm_tensor *dx,
                                      float *dgamma, float *dbeta) {
    const char *const function = "hnorm_normalize_backward";
    if (x == nullptr && dgamma != nullptr) {
        return fail(HNORM_INVALID_ARGUMENT, "%s: x is null but dgamma is not: gamma's gradient needs x", function);
    }
    GradientTensors tensors(x, dy, dx);
    HNORM_TRY(tensors.read(function, false, false));
    float slope;
    HNORM_TRY(read_post_ops(function, post, &tensors, &slope));
    if (x == nullptr && slope != 1 && !tensors.y.tensor) {
        return fail(HNORM_INVALID_ARGUMENT,
                    "%s: x is null and post.activation is %d: without post.y the activation's sign needs x", function,
                    static_cast<int>(post->activation));
    }
    Backward b;
    HNORM_TRY(read_backward(function, tensors, group, mean, variance, affine, eps, slope, dgamma, dbeta, &b));
    Machine machine;
    HNORM_TRY(find_machine(function, &machine));
    if (b.dy.empty()) {
        write_zeros(b);
        return HNORM_OK;
    }
    return compute_normalize_backward(function, machine, b);
}

}  // extern "C"
