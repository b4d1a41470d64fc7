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
    return tensors.dx.tensor ? check_array(function, array, tensors.dx.name, tensors.dx.planes)
                             : check_array(function, array);
}

// An array that is written: apart from all tensors and from the other arrays.
hnorm_status check_written(const char *function, const Array &array, const GradientTensors &tensors,
                           std::initializer_list<Array> others) {
    for (const NamedTensor *tensor : {&tensors.x, &tensors.dy, &tensors.dx}) {
        HNORM_TRY(check_array(function, array, tensor->name, tensor->planes));
    }
    for (const Array &other : others) {
        HNORM_TRY(check_apart(function, array, other));
    }
    return HNORM_OK;
}

// gamma's view; without dx, nothing that it could touch is written into tensors.
hnorm_status read_gamma(const char *function, const hnorm_affine *affine, const GradientTensors &tensors,
                        AffineView *view) {
    return tensors.dx.tensor ? read_affine(function, affine, tensors.dx.planes, view, tensors.dx.name)
                             : read_affine(function, affine, tensors.dy.planes, view, nullptr);
}

// What hnorm_backward and hnorm_normalize_backward have in common: everything but the tensors' presence and the group's size.
hnorm_status read_backward(const char *function, const GradientTensors &tensors, hnorm_group group, const double *mean,
                           const double *variance, const hnorm_affine *affine, double eps, float *dgamma, float *dbeta,
                           Backward *b) {
    HNORM_TRY(check_group(function, group));
    const Planes &dy = tensors.dy.planes;
    const Array means("mean", mean, dy.groups(group)), variances("variance", variance, dy.groups(group));
    HNORM_TRY(check_read(function, means, tensors));
    HNORM_TRY(check_read(function, variances, tensors));
    AffineView view;
    HNORM_TRY(read_gamma(function, affine, tensors, &view));
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
          dbeta};
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
    return compute_backward_reduce(function, machine, in, tensors.dy.planes, group, mean,
                                   group == HNORM_BATCH ? 0 : in.c, sum_dy, sum_dy_xmu);
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
    HNORM_TRY(read_gamma(function, affine, tensors, &view));
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
    return compute_backward_apply(function, machine, in, tensors.dy.planes, group,
                                  {mean, variance, g1, g2, count, false}, view, eps, tensors.dx.planes);
}

hnorm_status hnorm_backward(const hnorm_tensor *x, const hnorm_tensor *dy, hnorm_group group, const double *mean,
                            const double *variance, const hnorm_affine *affine, double eps, const hnorm_tensor *dx,
                            float *dgamma, float *dbeta) {
    const char *const function = "hnorm_backward";
    GradientTensors tensors(x, dy, dx);
    HNORM_TRY(tensors.read(function, true, false));
    Backward b;
    HNORM_TRY(read_backward(function, tensors, group, mean, variance, affine, eps, dgamma, dbeta, &b));
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
                                      double eps, const hnorm_tensor *dx, float *dgamma, float *dbeta) {
    const char *const function = "hnorm_normalize_backward";
    if (x == nullptr && dgamma != nullptr) {
        return fail(HNORM_INVALID_ARGUMENT, "%s: x is null but dgamma is not: gamma's gradient needs x", function);
    }
    GradientTensors tensors(x, dy, dx);
    HNORM_TRY(tensors.read(function, false, false));
    Backward b;
    HNORM_TRY(read_backward(function, tensors, group, mean, variance, affine, eps, dgamma, dbeta, &b));
    Machine machine;
    HNORM_TRY(find_machine(function, &machine));
    if (b.dy.empty()) {
        write_zeros(b);
        return HNORM_OK;
    }
    return compute_normalize_backward(function, machine, b);
}

}  // extern "C"
