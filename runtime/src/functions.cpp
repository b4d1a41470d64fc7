// The C functions: validate everything, then compute.
#include <algorithm>
#include <cinttypes>

#include "compute.h"
#include "error.h"
#include "post_ops.h"

using namespace hnorm::detail;

extern "C" {

hnorm_status hnorm_moments(const hnorm_tensor *x, hnorm_group group, double *count, double *mean, double *m2) {
    const char *const function = "hnorm_moments";
    Planes planes;
    HNORM_TRY(read_tensor(function, "x", x, &planes));
    HNORM_TRY(check_group(function, group));
    const int64_t groups = planes.groups(group);
    const Array counts("count", count, groups), means("mean", mean, groups), m2s("m2", m2, groups);
    for (const Array *array : {&counts, &means, &m2s}) {
        HNORM_TRY(check_array(function, *array, "x", planes));
    }
    HNORM_TRY(check_apart(function, counts, means));
    HNORM_TRY(check_apart(function, counts, m2s));
    HNORM_TRY(check_apart(function, means, m2s));
    Machine machine;
    HNORM_TRY(find_machine(function, &machine));
    if (planes.empty()) {
        std::fill_n(mean, groups, 0.0);
        std::fill_n(m2, groups, 0.0);
    } else {
        HNORM_TRY(compute_moments(function, machine, planes, group, mean, m2));
    }
    std::fill_n(count, groups, planes.empty() ? 0.0 : static_cast<double>(planes.group_size(group)));
    return HNORM_OK;
}

hnorm_status hnorm_normalize(const hnorm_tensor *x, hnorm_group group, const double *mean, const double *variance,
                             const hnorm_affine *affine, double eps, const hnorm_post_ops *post,
                             const hnorm_tensor *y) {
    const char *const function = "hnorm_normalize";
    Planes in, out, residual;
    HNORM_TRY(read_pair(function, x, y, &in, &out));
    HNORM_TRY(check_group(function, group));
    HNORM_TRY(check_array(function, {"mean", mean, in.groups(group)}, "y", out));
    HNORM_TRY(check_array(function, {"variance", variance, in.groups(group)}, "y", out));
    AffineView affine_view;
    HNORM_TRY(read_affine(function, affine, out, &affine_view));
    HNORM_TRY(check_eps(function, "eps", eps));
    PostOps post_ops;
    HNORM_TRY(read_post_ops(function, post, {"x", x, in}, {"y", y, out}, &residual, &post_ops));
    Machine machine;
    HNORM_TRY(find_machine(function, &machine));
    if (in.empty()) {
        return HNORM_OK;
    }
    return compute_normalize(function, machine, in, group_values(mean, in, group), group_values(variance, in, group),
                             affine_view, eps, post_ops, out);
}

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
        HNORM_TRY(check_apart(function, *array, gamma_array(affine_view, out)));
        HNORM_TRY(check_apart(function, *array, beta_array(affine_view, out)));
    }
    HNORM_TRY(check_apart(function, means, variances));
    HNORM_TRY(check_group_size(function, *x, in, group, ""));
    Machine machine;
    HNORM_TRY(find_machine(function, &machine));
    if (in.empty()) {
        return HNORM_OK;
    }
    Scratch scratch;
    if (mean == nullptr || variance == nullptr) {
        HNORM_TRY(scratch.reserve(function, 2 * groups));
    }
    return compute_forward(function, machine, in, group, affine_view, eps, post_ops, out, mean ? mean : scratch.data(),
                           variance ? variance : scratch.data() + groups);
}

hnorm_status hnorm_batch_normalization(const hnorm_tensor *x, int64_t length, const float *mean, const float *variance,
                                       const float *offset, const float *scale, double variance_epsilon,
                                       const hnorm_tensor *y) {
    const char *const function = "hnorm_batch_normalization";
    Planes in, out;
    HNORM_TRY(read_pair(function, x, y, &in, &out));
    const int64_t all = in.n * in.c;
    if (length != in.c && length != all) {
        return fail(HNORM_INVALID_ARGUMENT,
                    "%s: length is %" PRId64 " but x.shape is %s: it must be %" PRId64
                    " (one value a channel) or %" PRId64 " (one a sample and channel)",
                    function, length, ShapeText(*x).text, in.c, all);
    }
    HNORM_TRY(check_array(function, {"mean", mean, length}, "y", out));
    HNORM_TRY(check_array(function, {"variance", variance, length}, "y", out));
    // tf.nn.batch_normalization's names: scale is gamma, offset beta.
    for (const Array &array : {Array("offset", offset, length), Array("scale", scale, length)}) {
        if (array.data != nullptr) {
            HNORM_TRY(check_array(function, array, "y", out));
        }
    }
    HNORM_TRY(check_eps(function, "variance_epsilon", variance_epsilon));
    Machine machine;
    HNORM_TRY(find_machine(function, &machine));
    if (in.empty()) {
        return HNORM_OK;
    }
    const int64_t stride_n = length == in.c ? 0 : in.c;
    const hnorm_affine affine = {scale, offset, stride_n, 1};
    AffineView affine_view;
    HNORM_TRY(read_affine(function, &affine, out, &affine_view));
    Scratch scratch;  // Kernels read statistics in double.
    HNORM_TRY(scratch.reserve(function, 2 * length));
    std::copy_n(mean, length, scratch.data());
    std::copy_n(variance, length, scratch.data() + length);
    return compute_normalize(function, machine, in, {scratch.data(), stride_n, 1},
                             {scratch.data() + length, stride_n, 1}, affine_view, variance_epsilon, {}, out);
}

hnorm_tensor hnorm_channels_first(float *data, int rank, const int64_t *shape) {
    return hnorm_dense(data, HNORM_F32, 0, rank, shape);
}

hnorm_tensor hnorm_dense(void *data, hnorm_type type, int channels_last, int rank, const int64_t *shape) {
    hnorm_tensor tensor = {};
    tensor.data = data;
    tensor.type = type;
    tensor.device = HNORM_CPU;
    tensor.rank = rank;
    if (shape == nullptr || rank < 0 || rank > HNORM_MAX_RANK) {
        return tensor;
    }
    // Unsigned: an absurd shape wraps here and is refused where it is used.
    uint64_t stride = 1;
    std::copy_n(shape, rank, tensor.shape);
    const auto place = [&](int axis) {
        tensor.strides[axis] = static_cast<int64_t>(stride);
        stride *= static_cast<uint64_t>(shape[axis]);
    };
    const bool last = channels_last && rank >= 2;
    if (last) {
        place(1);
    }
    for (int axis = rank - 1; axis >= 0; --axis) {
        if (!last || axis != 1) {
            place(axis);
        }
    }
    return tensor;
}

}  // extern "C"
