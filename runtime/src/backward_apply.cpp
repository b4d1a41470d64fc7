// hnorm_backward_apply, and what it computes.
#include <algorithm>
#include <cinttypes>
#include <cmath>

#include "blocks.h"
#include "error.h"
#include "flat.h"
#include "gradient_arguments.h"
#include "gradients.h"
#include "narrow.h"
#include "past_cache.h"
#include "threads.h"

namespace hnorm::detail {

namespace {

// The pointwise part by its coefficients: m, scale, k1, power, k2, and forward's a and b.
constexpr int kValues = 7;

// lines: dx goes past the cache, and its rows are whole lines.
hnorm_status apply(const char *function, const Machine &machine, const Planes &x, const Planes &dy,
                   const GroupFloats *values, float slope, const Planes &dx, bool lines) {
    const bool per_sample = std::any_of(values, values + kValues, [](const GroupFloats &v) { return v.stride_n != 0; });
    if (x.s == 1 && x.n > 1 && !per_sample && channels_last({&x, &dy, &dx})) {
        return apply(function, machine, one_plane(x), one_plane(dy), values, slope, one_plane(dx), lines);
    }
    if (is_narrow_and_dense({&x, &dy, &dx})) {
        NarrowValues<float> repeated[kValues];
        GroupFloats of_parts[kValues];
        for (int i = 0; i < kValues; ++i) {
            HNORM_TRY(repeated[i].repeat(function, x, values[i].data, values[i].stride_n, 1));
            of_parts[i] = {repeated[i].data, repeated[i].stride_n};
        }
        return for_parts_and_remainder(x, [&](const auto &of, bool parts) {
            return apply(function, machine, of(x), of(dy), parts ? of_parts : values, slope, of(dx), lines);
        });
    }
    if (!per_sample && is_flat({&x, &dy, &dx})) {
        const GroupFloats of_channels[kValues] = {values[0], values[1], values[2], values[3],
                                                  values[4], values[5], values[6]};
        return for_flat(function, machine, x, of_channels, [&](const Range &range, const GroupFloats *repeated) {
            const auto of = [&](const Planes &p) { return flat(cropped(p, range)); };
            return apply(function, machine, of(x), of(dy), repeated, slope, of(dx), lines);
        });
    }
    const View view = per_sample ? View::kInstance : View::kBatch;
    TensorBuffer x_buffer(x, view), dy_buffer(dy, view), dx_buffer(dx, view);
    const auto buffer = [&](int i) { return GroupBuffer(values[i].data, x, view, values[i].stride_n, 1); };
    GroupBuffer m = buffer(0), scale = buffer(1), k1 = buffer(2), power = buffer(3);
    GroupBuffer k2 = buffer(4), a = buffer(5), b = buffer(6);
    const SerialScope serial(runs_serially(machine, x));
    return kernel_status(function,
                         kernels_of(hnorm_kernels_backward_apply, machine, x)[pointwise_class({&x, &dy, &dx})](
                             x_buffer, dy_buffer, m, scale, k1, power, k2, a, b, slope_bits(slope), lines, dx_buffer));
}

}  // namespace

hnorm_status compute_backward_apply(const char *function, const Machine &machine, const Planes &x, const Planes &dy,
                                    const GradientCoefficients &coefficients, const Gate &gate, const Planes &dx,
                                    bool past_cache) {
    const GroupFloats values[kValues] = {coefficients.m(),
                                         coefficients.scale(),
                                         coefficients.k1(),
                                         coefficients.power(),
                                         coefficients.k2(),
                                         gate.a,
                                         gate.b};
    if (!past_cache) {
        return apply(function, machine, x, dy, values, gate.slope, dx, false);
    }
    return for_lines(function, dx, [&](const Part &part, bool lines) {
        GroupFloats of_part[kValues];
        std::transform(values, values + kValues, of_part, [&](const GroupFloats &v) { return v.from(part.planes); });
        const auto of = [&](const Planes &p) { return cropped(p, part); };
        return apply(function, machine, of(x), of(dy), of_part, gate.slope, of(dx), lines);
    });
}

}  // namespace hnorm::detail

using namespace hnorm::detail;

extern "C" {

hnorm_status hnorm_backward_apply(const hnorm_tensor *x, const hnorm_tensor *dy, hnorm_group group, const double *count,
                                  const double *mean, const double *variance, const double *sum_dy,
                                  const double *sum_dy_xmu, const hnorm_affine *affine, double eps,
                                  const hnorm_tensor *dx) {
    const char *const function = "hnorm_backward_apply";
    GradientTensors tensors(x, dy, dx);
    HNORM_TRY(tensors.read(function, true, true));
    HNORM_TRY(read_one_channel(function, tensors.dy.planes.c, &group));
    const Planes &in = tensors.x.planes;
    const int64_t groups = in.groups(group);
    for (const Array &array :
         {Array("count", count, groups), Array("mean", mean, groups), Array("variance", variance, groups),
          Array("sum_dy", sum_dy, groups), Array("sum_dy_xmu", sum_dy_xmu, groups)}) {
        HNORM_TRY(check_read(function, array, tensors));
    }
    AffineView view;
    HNORM_TRY(read_parameters(function, affine, tensors, &view));
    if (group == HNORM_BATCH && view.gamma_n != 0) {
        return fail(HNORM_INVALID_ARGUMENT,
                    "%s: affine.stride_n is %" PRId64
                    ": gamma must be per channel (stride_n 0) in batch norm, whose sums do not tell samples apart",
                    function, view.gamma_n);
    }
    HNORM_TRY(check_eps(function, "eps", eps));
    Machine machine;
    HNORM_TRY(find_machine(function, in.device, &machine, kBackward));
    if (in.empty()) {
        return HNORM_OK;
    }
    if (machine.device) {
        return machine.device->backward_apply(function, in, tensors.dy.planes, group, count, mean, variance, sum_dy,
                                              sum_dy_xmu, view, eps, tensors.dx.planes);
    }
    for (int64_t i = 0; i < groups; ++i) {
        if (!is_finite_from(1, count[i])) {
            return fail(HNORM_INVALID_ARGUMENT, "%s: count[%" PRId64 "] is %g: it must be finite and 1 or more",
                        function, i, count[i]);
        }
    }
    const bool past_cache = goes_past_cache(machine.dispatch(in), tensors.dx.planes, {&in, &tensors.dy.planes});
    const auto compute = [&](const Range &range) {
        const Planes x = cropped(in, range);
        const AffineView affine_view = view.from(range.n_begin, range.c_begin);
        const int64_t of_range = x.groups(group), first = range.first(groups_stride(in, group));
        Scratch g;
        HNORM_TRY(g.reserve(function, 2 * of_range));
        double *const g1 = g.data(), *const g2 = g1 + of_range;
        times_gamma(x, affine_view, group, group, sum_dy + first, sum_dy_xmu + first, g1, g2);
        const auto values = [&](const double *data) { return group_values(data, in, group).from(range); };
        GradientCoefficients coefficients;
        HNORM_TRY(coefficients.compute(function, x, values(mean), values(variance), affine_view, eps,
                                       {group_values(g1, x, group), group_values(g2, x, group), values(count)}));
        const GroupFloats unused = coefficients.m();
        return compute_backward_apply(function, machine, x, cropped(tensors.dy.planes, range), coefficients,
                                      {unused, unused, unused, 1}, cropped(tensors.dx.planes, range), past_cache);
    };
    // As in compute_normalize.
    return group == HNORM_BATCH ? compute({0, in.n, 0, in.c})
                                : Blocks(machine, in, {group, 1}, 2).for_each(function, compute);
}

}  // extern "C"
