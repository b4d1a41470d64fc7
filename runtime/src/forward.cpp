// hnorm_forward, and what it computes.
#include "blocks.h"
#include "error.h"
#include "past_cache.h"
#include "post_ops.h"

namespace hnorm::detail {

hnorm_status compute_forward(const char *function, const Machine &machine, const Planes &x, hnorm_group group,
                             const AffineView &affine, double eps, const PostOps &post, const Planes &y, double *mean,
                             double *variance) {
    const auto total = static_cast<double>(x.group_size(group));
    const bool past_cache = goes_past_cache(*machine.target, y, {&x, post.residual});
    const GroupValues means = group_values(mean, x, group), variances = group_values(variance, x, group);
    return Blocks(machine, x, group).for_each(function, [&](const Range &range) {
        const Planes part = cropped(x, range);
        const int64_t first = range.first(groups_stride(x, group));
        HNORM_TRY(compute_moments(function, machine, part, group, total, mean + first, variance + first));
        return normalize_range(function, machine, range, x, means, variances, affine, eps, post, y, past_cache);
    });
}

}  // namespace hnorm::detail

using namespace hnorm::detail;

extern "C" {

hnorm_status hnorm_forward(const hnorm_tensor *x, hnorm_group group, const hnorm_affine *affine, double eps,
                           const hnorm_post_ops *post, const hnorm_tensor *y, double *mean, double *variance) {
    const char *const function = "hnorm_forward";
    Planes in, out, residual;
    HNORM_TRY(read_pair(function, x, y, &in, &out));
    HNORM_TRY(check_group(function, group));
    AffineView affine_view;
    HNORM_TRY(read_affine(function, affine, out, &affine_view));
    HNORM_TRY(check_eps(function, "eps", eps));
    PostOps post_ops;
    HNORM_TRY(read_post_ops(function, post, {"x", x, in}, {"y", y, out}, &residual, &post_ops));
    const int64_t groups = in.groups(group);
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
    HNORM_TRY(check_group_size(function, *x, in, group, ""));
    Machine machine;
    HNORM_TRY(find_machine(function, in.device, &machine));
    if (in.empty()) {
        return HNORM_OK;
    }
    if (machine.device) {
        return machine.device->forward(function, in, group, affine_view, eps, post_ops, out, mean, variance);
    }
    Scratch scratch;
    if (mean == nullptr || variance == nullptr) {
        HNORM_TRY(scratch.reserve(function, 2 * groups));
    }
    return compute_forward(function, machine, in, group, affine_view, eps, post_ops, out, mean ? mean : scratch.data(),
                           variance ? variance : scratch.data() + groups);
}

}  // extern "C"
