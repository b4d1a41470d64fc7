// hnorm_forward.
#include "forward.h"

#include "call.h"
#include "cpu.h"
#include "post_ops.h"
#include "validate.h"

using namespace hnorm::detail;

extern "C" {

hnorm_status hnorm_forward(const hnorm_tensor *x, hnorm_group group, const hnorm_affine *affine, double eps,
                           const hnorm_post_ops *post, const hnorm_tensor *y, double *mean, double *variance) {
    const char *const function = "hnorm_forward";
    CheckedTensor in, out, residual;
    HNORM_TRY(read_pair(function, x, y, &in, &out));
    Grouping grouping;
    HNORM_TRY(read_group(function, "group", group, in.c, &grouping));
    AffineView affine_view;
    HNORM_TRY(read_affine(function, affine, out, &affine_view));
    HNORM_TRY(check_eps(function, "eps", eps));
    PostOps post_ops;
    HNORM_TRY(read_post_ops(function, post, {"x", x, in}, {"y", y, out}, &residual, &post_ops));
    const int64_t groups = grouping.count(in);
    const Array means("mean", mean, groups), variances("variance", variance, groups);
    for (const Array *array : {&means, &variances}) {
        if (array->data == nullptr) {
            continue;
        }
        HNORM_TRY(check_array(function, *array, "x", in));
        HNORM_TRY(check_array(function, *array, "y", out));
        if (post_ops.residual) {
            HNORM_TRY(check_array(function, *array, "post.residual", residual));
        }
        HNORM_TRY(check_apart(function, *array, gamma_array(affine_view, out), in.device));
        HNORM_TRY(check_apart(function, *array, beta_array(affine_view, out), in.device));
    }
    HNORM_TRY(check_apart(function, means, variances, in.device));
    HNORM_TRY(check_group_size(function, *x, in, grouping, ""));
    Machine machine;
    HNORM_TRY(machine.find(function, *x));
    return machine.run(&Device::forward, compute_forward<Cpu>,
                       Forward{in, grouping, affine_view, eps, post_ops, out, mean, variance});
}

}  // extern "C"
