// hnorm_forward, and what it computes.
#include "blocks.h"
#include "channel_groups.h"
#include "error.h"
#include "past_cache.h"
#include "post_ops.h"

namespace hnorm::detail {

hnorm_status compute_forward(const char *function, const Machine &machine, const Planes &x, const Grouping &group,
                             const AffineView &affine, double eps, const PostOps &post, const Planes &y, double *mean,
                             double *variance) {
    const auto total = static_cast<double>(group.size(x));
    const bool past_cache = goes_past_cache(machine.dispatch(y), y, {&x, post.residual});
    const GroupValues means = group_values(mean, x, group.by), variances = group_values(variance, x, group.by);
    return Blocks(machine, x, group).for_each(function, [&](const Range &range) {
        const Planes part = cropped(x, range);
        const int64_t first = range.first(groups_stride(x, group.by));
        HNORM_TRY(compute_statistics(function, machine, part, group, total, mean + first, variance + first));
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
    HNORM_TRY(find_machine(function, in.device, &machine));
    if (in.empty()) {
        return HNORM_OK;
    }
    if (machine.device) {
        return machine.device->forward(function, in, grouping, affine_view, eps, post_ops, out, mean, variance);
    }
    StatisticsOfChannels statistics;
    HNORM_TRY(statistics.reserve(function, in, grouping, mean, variance));
    HNORM_TRY(compute_forward(function, machine, in, grouping, affine_view, eps, post_ops, out, statistics.mean(),
                              statistics.variance()));
    statistics.give();
    return HNORM_OK;
}

}  // extern "C"
