// hnorm_normalize and hnorm_batch_normalization, and what they compute.
#include <algorithm>
#include <cinttypes>
#include <utility>

#include "blocks.h"
#include "channel_groups.h"
#include "coefficients.h"
#include "error.h"
#include "flat.h"
#include "narrow.h"
#include "past_cache.h"
#include "post_ops.h"
#include "threads.h"

namespace hnorm::detail {

namespace {

// The pointwise part by its coefficients.
struct Pointwise {
    GroupFloats m, a, b;
};

// lines: y goes past the cache, and its rows are whole lines.
hnorm_status apply(const char *function, const Machine &machine, const Planes &x, const Pointwise &by,
                   const PostOps &post, const Planes &y, bool lines) {
    if (x.s == 1 && x.n > 1 && by.m.stride_n == 0 && channels_last({&x, &y, post.residual})) {
        Planes residual;
        return apply(function, machine, one_plane(x), by, post.seen(one_plane, &residual), one_plane(y), lines);
    }
    if (is_narrow_and_dense({&x, &y, post.residual})) {
        NarrowValues<float> m, a, b;
        for (const auto &[repeated, values] : {std::pair(&m, &by.m), std::pair(&a, &by.a), std::pair(&b, &by.b)}) {
            HNORM_TRY(repeated->repeat(function, x, values->data, values->stride_n, 1));
        }
        const Pointwise by_parts = {{m.data, m.stride_n}, {a.data, a.stride_n}, {b.data, b.stride_n}};
        return for_parts_and_remainder(x, [&](const auto &of, bool parts) {
            Planes residual;
            return apply(function, machine, of(x), parts ? by_parts : by, post.seen(of, &residual), of(y), lines);
        });
    }
    if (by.m.stride_n == 0 && is_flat({&x, &y, post.residual})) {
        return for_flat(function, machine, x, {by.m, by.a, by.b}, [&](const Range &range, const GroupFloats *values) {
            Planes residual;
            const auto of = [&](const Planes &p) { return flat(cropped(p, range)); };
            return apply(function, machine, of(x), {values[0], values[1], values[2]}, post.seen(of, &residual), of(y),
                         lines);
        });
    }
    const View view = by.m.stride_n != 0 ? View::kInstance : View::kBatch;
    TensorBuffer x_buffer(x, view), y_buffer(y, view);
    GroupBuffer m(by.m.data, x, view, by.m.stride_n, 1), a(by.a.data, x, view, by.a.stride_n, 1);
    GroupBuffer b(by.b.data, x, view, by.b.stride_n, 1);
    const SerialScope serial(runs_serially(machine, x));
    const PlaneClass planes = pointwise_class({&x, &y, post.residual});
    if (post.residual) {
        TensorBuffer residual(*post.residual, view);
        return kernel_status(function, kernels_of(hnorm_kernels_normalize_residual, machine, x)[planes](
                                           x_buffer, m, a, b, slope_bits(post.slope), residual, lines, y_buffer));
    }
    return kernel_status(function, kernels_of(hnorm_kernels_normalize, machine, x)[planes](
                                       x_buffer, m, a, b, slope_bits(post.slope), lines, y_buffer));
}

}  // namespace

hnorm_status normalize_range(const char *function, const Machine &machine, const Range &range, const Planes &x,
                             const GroupValues &mean, const GroupValues &variance, const AffineView &affine, double eps,
                             const PostOps &post, const Planes &y, bool past_cache) {
    Planes residual;
    const auto of = [&](const Planes &p) { return cropped(p, range); };
    const Planes in = of(x), out = of(y);
    const PostOps of_range = post.seen(of, &residual);
    Coefficients coefficients;
    HNORM_TRY(coefficients.compute(function, in, mean.from(range), variance.from(range),
                                   affine.from(range.n_begin, range.c_begin), eps));
    const Pointwise by = {coefficients.m(), coefficients.a(), coefficients.b()};
    if (!past_cache) {
        return apply(function, machine, in, by, of_range, out, false);
    }
    return for_lines(function, out, [&](const Part &part, bool lines) {
        Planes of_residual;
        const auto of_part = [&](const Planes &p) { return cropped(p, part); };
        const Pointwise by_part = {by.m.from(part.planes), by.a.from(part.planes), by.b.from(part.planes)};
        return apply(function, machine, of_part(in), by_part, of_range.seen(of_part, &of_residual), of_part(out),
                     lines);
    });
}

hnorm_status compute_normalize(const char *function, const Machine &machine, const Planes &x, const GroupValues &mean,
                               const GroupValues &variance, const AffineView &affine, double eps, const PostOps &post,
                               const Planes &y) {
    const bool past_cache = goes_past_cache(machine.dispatch(y), y, {&x, post.residual});
    const auto compute = [&](const Range &range) {
        return normalize_range(function, machine, range, x, mean, variance, affine, eps, post, y, past_cache);
    };
    // Coefficients of each sample's groups: threads share that work, too.
    const bool per_sample = mean.stride_n != 0 || variance.stride_n != 0 || affine.per_sample();
    return per_sample ? Blocks(machine, x, {HNORM_INSTANCE, 1}).for_each(function, compute) : compute({0, x.n, 0, x.c});
}

}  // namespace hnorm::detail

using namespace hnorm::detail;

extern "C" {

hnorm_status hnorm_normalize(const hnorm_tensor *x, hnorm_group group, const double *mean, const double *variance,
                             const hnorm_affine *affine, double eps, const hnorm_post_ops *post,
                             const hnorm_tensor *y) {
    const char *const function = "hnorm_normalize";
    Planes in, out, residual;
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
    HNORM_TRY(find_machine(function, in.device, &machine, kNormalize));
    if (in.empty()) {
        return HNORM_OK;
    }
    if (machine.device) {
        return machine.device->normalize(function, in, grouping, mean, variance, affine_view, eps, post_ops, out);
    }
    RepeatedStatistics repeated;
    HNORM_TRY(repeated.repeat(function, in, grouping, &mean, &variance));
    const GroupValues means = group_values(mean, in, grouping.by), variances = group_values(variance, in, grouping.by);
    return compute_normalize(function, machine, in, means, variances, affine_view, eps, post_ops, out);
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
    HNORM_TRY(find_machine(function, in.device, &machine, kNormalize));
    if (in.empty()) {
        return HNORM_OK;
    }
    const int64_t stride_n = length == in.c ? 0 : in.c;
    const hnorm_affine affine = {scale, offset, stride_n, 1};
    AffineView affine_view;
    HNORM_TRY(read_affine(function, &affine, out, &affine_view));
    if (machine.device) {
        return machine.device->normalize_floats(function, in, mean, variance, stride_n, affine_view, variance_epsilon,
                                                out);
    }
    Scratch scratch;  // Kernels read statistics in double.
    HNORM_TRY(scratch.reserve(function, 2 * length));
    std::copy_n(mean, length, scratch.data());
    std::copy_n(variance, length, scratch.data() + length);
    return compute_normalize(function, machine, in, {scratch.data(), stride_n, 1},
                             {scratch.data() + length, stride_n, 1}, affine_view, variance_epsilon, {}, out);
}

}  // extern "C"
