// hnorm_forward, and what it computes.
#include <algorithm>

#include "compute.h"
#include "error.h"
#include "post_ops.h"
#include "sample_blocks.h"
#include "threads.h"

namespace hnorm::detail {

namespace {

// By the kernels that do one of the two.
hnorm_status forward_in_phases(const char *function, const Machine &machine, const Planes &x, hnorm_group group,
                               const AffineView &affine, double eps, const PostOps &post, const Planes &y, double *mean,
                               double *variance) {
    const auto total = static_cast<double>(x.group_size(group));
    const auto compute = [&](const Range &range) {
        const Planes part = cropped(x, range);
        const int64_t first = range.n_begin * x.c;
        Planes residual;
        const PostOps part_post = post.seen([&](const Planes &p) { return cropped(p, range); }, &residual);
        HNORM_TRY(compute_moments(function, machine, part, group, mean + first, variance + first));
        std::for_each_n(variance + first, part.groups(group), [total](double &value) { value /= total; });
        return compute_normalize(function, machine, part, group_values(mean + first, part, group),
                                 group_values(variance + first, part, group), affine.from_sample(range.n_begin), eps,
                                 part_post, cropped(y, range));
    };
    if (x.layout == Layout::kChannelsLast && group == HNORM_INSTANCE) {
        return for_blocks_of_samples(function, machine, x, compute);
    }
    return compute({0, x.n, 0, x.c});
}

}  // namespace

hnorm_status compute_forward(const char *function, const Machine &machine, const Planes &x, hnorm_group group,
                             const AffineView &affine, double eps, const PostOps &post, const Planes &y, double *mean,
                             double *variance) {
    // The forward kernel has one gamma and beta a group.
    const bool affine_fits = group == HNORM_INSTANCE || !affine.per_sample();
    if (!affine_fits || channels_last({&x, &y, post.residual}) || !works_on_groups(machine, x, group)) {
        return forward_in_phases(function, machine, x, group, affine, eps, post, y, mean, variance);
    }
    const View view = view_of(group);
    TensorBuffer x_buffer(x, view), y_buffer(y, view);
    GroupBuffer gamma(affine.gamma, x, view, affine.gamma_n, affine.gamma_c);
    GroupBuffer beta(affine.beta, x, view, affine.beta_n, affine.beta_c);
    GroupBuffer mean_buffer(mean, x, view, x.c, 1), variance_buffer(variance, x, view, x.c, 1);
    const SerialScope serial(runs_serially(machine, x));
    const PlaneClass planes = pointwise_class({&x, &y, post.residual});
    if (post.residual) {
        TensorBuffer residual(*post.residual, view);
        return kernel_status(function, kernels_of(hnorm_kernels_forward_residual, machine, x)[planes](
                                           x_buffer, gamma, beta, eps, slope_bits(post.slope), residual, y_buffer,
                                           mean_buffer, variance_buffer));
    }
    return kernel_status(
        function, kernels_of(hnorm_kernels_forward, machine, x)[planes](
                      x_buffer, gamma, beta, eps, slope_bits(post.slope), y_buffer, mean_buffer, variance_buffer));
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
