// hnorm_normalize_backward.
#include "backward.h"
#include "cpu.h"
#include "gradient_arguments.h"

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
    HNORM_TRY(machine.find(function, *dy));
    return machine.run(&Device::normalize_backward, compute_normalize_backward<Cpu>, b);
}

}  // extern "C"
