// hnorm_normalize and hnorm_batch_normalization, and the CPU's pointwise part of forward.
#include <cinttypes>

#include "cpu.h"
#include "forward.h"
#include "pointwise.h"
#include "post_ops.h"
#include "validate.h"

namespace hnorm::detail {

hnorm_status Cpu::normalize(const CheckedTensor &x, const Coefficients &by, const PostOps &post, const CheckedTensor &y,
                            bool past_cache) const {
    const std::array<Values<float>, 3> values = {by.m(), by.a(), by.b()};
    const int32_t slope = slope_bits(post.slope);
    if (post.residual) {
        return for_pointwise(*this, Operands<3, 3>{{x, *post.residual, y}, values}, past_cache, [&](auto &call) {
            return kernel_of(hnorm_kernels_normalize_residual, *this, x.type, call.planes)(
                call.tensor(0), call.value(0), call.value(1), call.value(2), slope, call.tensor(1), call.stores,
                call.tensor(2));
        });
    }
    return for_pointwise(*this, Operands<2, 3>{{x, y}, values}, past_cache, [&](auto &call) {
        return kernel_of(hnorm_kernels_normalize, *this, x.type, call.planes)(
            call.tensor(0), call.value(0), call.value(1), call.value(2), slope, call.stores, call.tensor(1));
    });
}

}  // namespace hnorm::detail

using namespace hnorm::detail;

extern "C" {

hnorm_status hnorm_normalize(const hnorm_tensor *x, hnorm_group group, const double *mean, const double *variance,
                             const hnorm_affine *affine, double eps, const hnorm_post_ops *post,
                             const hnorm_tensor *y) {
    const char *const function = "hnorm_normalize";
    CheckedTensor in, out, residual;
    HNORM_TRY(read_pair(function, x, y, &in, &out));
    Grouping grouping;
    HNORM_TRY(read_group(function, "group", group, in.c, &grouping));
    HNORM_TRY(check_array(function, {"mean", mean, grouping.count(in)}, "y", out));
    HNORM_TRY(check_array(function, {"variance", variance, grouping.count(in)}, "y", out));
    AffineView affine_view;
    HNORM_TRY(read_affine(function, affine, out, &affine_view));
    HNORM_TRY(check_eps(function, "eps", eps));
    PostOps post_ops;
    HNORM_TRY(read_post_ops(function, post, {"x", x, in}, {"y", y, out}, &residual, &post_ops));
    Machine machine;
    HNORM_TRY(machine.find(function, *x));
    const Normalization by = {group_values(mean, in, grouping), group_values(variance, in, grouping), affine_view, eps};
    return machine.run(&Device::normalize, compute_normalize<Cpu>, Normalize{in, by, post_ops, out});
}

hnorm_status hnorm_batch_normalization(const hnorm_tensor *x, int64_t length, const float *mean, const float *variance,
                                       const float *offset, const float *scale, double variance_epsilon,
                                       const hnorm_tensor *y) {
    const char *const function = "hnorm_batch_normalization";
    CheckedTensor in, out;
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
    HNORM_TRY(machine.find(function, *x));
    const int64_t stride_n = length == in.c ? 0 : in.c;
    const hnorm_affine affine = hnorm_affine_of_samples(scale, offset, stride_n);
    AffineView affine_view;
    HNORM_TRY(read_affine(function, &affine, out, &affine_view));
    return machine.run(&Device::normalize_floats, compute_normalize_floats<Cpu>,
                       NormalizeFloats{in, {mean, stride_n}, {variance, stride_n}, affine_view, variance_epsilon, out});
}

}  // extern "C"
