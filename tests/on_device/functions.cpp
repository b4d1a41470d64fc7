// The functions of hnorm.h that compute, with arguments that lie on the CPU, on a device: linked
// into a test program by ld's --wrap, so that its calls come here.
#include "arguments.h"

// What of `function` this program calls, and what it would call.
#define HNORM_REAL(function) decltype(function) __real_##function
extern "C" {
HNORM_REAL(hnorm_moments);
HNORM_REAL(hnorm_normalize);
HNORM_REAL(hnorm_forward);
HNORM_REAL(hnorm_batch_normalization);
HNORM_REAL(hnorm_activation_backward);
HNORM_REAL(hnorm_backward_reduce);
HNORM_REAL(hnorm_backward_apply);
HNORM_REAL(hnorm_backward);
HNORM_REAL(hnorm_normalize_backward);
}

using on_device::Arguments;

extern "C" {

// Tells tests that all they call runs on a device (machine.h).
int hnorm_tests_on_device(void) { return 1; }

hnorm_status __wrap_hnorm_moments(const hnorm_tensor *x, hnorm_group group, double *count, double *mean, double *m2) {
    Arguments on(x);
    const int64_t groups = on.groups(group);
    return on.done(__real_hnorm_moments(on.tensor(x), group, on.array(count, groups), on.array(mean, groups),
                                        on.array(m2, groups)));
}

hnorm_status __wrap_hnorm_normalize(const hnorm_tensor *x, hnorm_group group, const double *mean,
                                    const double *variance, const hnorm_affine *affine, double eps,
                                    const hnorm_post_ops *post, const hnorm_tensor *y) {
    Arguments on(x);
    const int64_t groups = on.groups(group);
    return on.done(__real_hnorm_normalize(on.tensor(x), group, on.array(mean, groups), on.array(variance, groups),
                                          on.affine(affine), eps, on.post(post), on.tensor(y)));
}

hnorm_status __wrap_hnorm_forward(const hnorm_tensor *x, hnorm_group group, const hnorm_affine *affine, double eps,
                                  const hnorm_post_ops *post, const hnorm_tensor *y, double *mean, double *variance) {
    Arguments on(x);
    const int64_t groups = on.groups(group);
    return on.done(__real_hnorm_forward(on.tensor(x), group, on.affine(affine), eps, on.post(post), on.tensor(y),
                                        on.array(mean, groups), on.array(variance, groups)));
}

hnorm_status __wrap_hnorm_batch_normalization(const hnorm_tensor *x, int64_t length, const float *mean,
                                              const float *variance, const float *offset, const float *scale,
                                              double variance_epsilon, const hnorm_tensor *y) {
    Arguments on(x);
    const int64_t count = length == on.channels() || length == on.all() ? length : on_device::kUnknown;
    return on.done(__real_hnorm_batch_normalization(on.tensor(x), length, on.array(mean, count),
                                                    on.array(variance, count), on.array(offset, count),
                                                    on.array(scale, count), variance_epsilon, on.tensor(y)));
}

hnorm_status __wrap_hnorm_activation_backward(const hnorm_tensor *y, const hnorm_tensor *dy,
                                              hnorm_activation activation, float negative_slope,
                                              const hnorm_tensor *dz) {
    Arguments on(y);
    return on.done(
        __real_hnorm_activation_backward(on.tensor(y), on.tensor(dy), activation, negative_slope, on.tensor(dz)));
}

hnorm_status __wrap_hnorm_backward_reduce(const hnorm_tensor *x, const hnorm_tensor *dy, hnorm_group group,
                                          const double *mean, double *sum_dy, double *sum_dy_xmu) {
    Arguments on(x);
    const int64_t groups = on.groups(group);
    return on.done(__real_hnorm_backward_reduce(on.tensor(x), on.tensor(dy), group, on.array(mean, groups),
                                                on.array(sum_dy, groups), on.array(sum_dy_xmu, groups)));
}

hnorm_status __wrap_hnorm_backward_apply(const hnorm_tensor *x, const hnorm_tensor *dy, hnorm_group group,
                                         const double *count, const double *mean, const double *variance,
                                         const double *sum_dy, const double *sum_dy_xmu, const hnorm_affine *affine,
                                         double eps, const hnorm_tensor *dx) {
    Arguments on(x);
    const int64_t groups = on.groups(group);
    return on.done(__real_hnorm_backward_apply(
        on.tensor(x), on.tensor(dy), group, on.array(count, groups), on.array(mean, groups), on.array(variance, groups),
        on.array(sum_dy, groups), on.array(sum_dy_xmu, groups), on.affine(affine), eps, on.tensor(dx)));
}

hnorm_status __wrap_hnorm_backward(const hnorm_tensor *x, const hnorm_tensor *dy, hnorm_group group, const double *mean,
                                   const double *variance, const hnorm_affine *affine, double eps,
                                   const hnorm_post_ops_gradient *post, const hnorm_tensor *dx, float *dgamma,
                                   float *dbeta) {
    Arguments on(dy);
    const int64_t groups = on.groups(group), parameters = on.parameters(affine);
    return on.done(__real_hnorm_backward(on.tensor(x), on.tensor(dy), group, on.array(mean, groups),
                                         on.array(variance, groups), on.affine(affine), eps, on.post(post),
                                         on.tensor(dx), on.array(dgamma, parameters), on.array(dbeta, parameters)));
}

hnorm_status __wrap_hnorm_normalize_backward(const hnorm_tensor *x, const hnorm_tensor *dy, hnorm_group group,
                                             const double *mean, const double *variance, const hnorm_affine *affine,
                                             double eps, const hnorm_post_ops_gradient *post, const hnorm_tensor *dx,
                                             float *dgamma, float *dbeta) {
    Arguments on(dy);
    const int64_t groups = on.groups(group), parameters = on.parameters(affine);
    return on.done(__real_hnorm_normalize_backward(
        on.tensor(x), on.tensor(dy), group, on.array(mean, groups), on.array(variance, groups), on.affine(affine), eps,
        on.post(post), on.tensor(dx), on.array(dgamma, parameters), on.array(dbeta, parameters)));
}

}  // extern "C"
