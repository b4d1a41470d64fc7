// hnorm_backward.
#include "backward.h"

#include "cpu.h"
#include "gradient_arguments.h"

using namespace hnorm::detail;

extern "C" {

hnorm_status hnorm_backward(const hnorm_tensor *x, const hnorm_tensor *dy, hnorm_group group, const double *mean,
                            const double *variance, const hnorm_affine *affine, double eps,
                            const hnorm_post_ops_gradient *post, const hnorm_tensor *dx, float *dgamma, float *dbeta) {
    const char *const function = "hnorm_backward";
    GradientTensors tensors(x, dy, dx);
    Backward b;
    HNORM_TRY(read_backward(function, true, group, mean, variance, affine, eps, post, dgamma, dbeta, &tensors, &b));
    HNORM_TRY(check_group_size(function, *x, b.x, b.group, ""));
    Machine machine;
    HNORM_TRY(machine.find(function, *x));
    return machine.run(&Device::backward, compute_backward<Cpu>, b);
}

}  // extern "C"
