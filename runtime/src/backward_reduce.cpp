// hnorm_backward_reduce, and what it computes.
#include <algorithm>
#include <cmath>

#include "chunk_by_chunk.h"
#include "cpu.h"
#include "error.h"
#include "gradient_arguments.h"
#include "group_gradient_sums.h"
#include "threads.h"
#include "wide.h"

namespace hnorm::detail {

namespace {

// The sums of groups that lie in two tensors on the CPU.
class CpuGradientSums : public GroupGradientSums {
public:
    CpuGradientSums(const Cpu &on, const SumsView &view, const detail::Gate &gate)
        : GroupGradientSums(on.function, view, gate.slope),
          on_(on),
          gate_(gate),
          serial_(on.is_serial(view.x.type, view.x.elements())) {}

    hnorm_status compute(double *sum_dy, double *sum_dy_xmu) {
        auto &expected = remembered<ExpectedGradients>(view_.x);
        HNORM_TRY(reserve());
        HNORM_TRY(compute_reserved(expected, sum_dy, sum_dy_xmu));
        expected = next_;
        expected.measured = pays_to_measure(visited_, view_.x.groups());
        return HNORM_OK;
    }

private:
    hnorm_status sum(const Slice &slice) override {
        const View x = cropped(x_, slice), dy = cropped(view_.dy, slice);
        const int64_t first = x_.first(slice), channels = x_.g0.extent;
        const Values<float> values[kGradientValues] = {gate_.m.from(slice),
                                                       gate_.a.from(slice),
                                                       gate_.b.from(slice),
                                                       {scale_x_ + first, channels},
                                                       {scale_dy_ + first, channels}};
        RepeatedFloats repeated[kGradientValues];
        Values<float> of_parts[kGradientValues];
        const ChunkByChunk chunks(view_, x);
        const bool repeats = view_.dense || view_.transposed || chunks.applies();
        const int count = !repeats ? 0 : measured_ ? kGradientValues : kUnscaledValues;
        for (int i = 0; i < count; ++i) {
            HNORM_TRY(chunks.applies() ? repeated[i].repeat_value(on_.function, *values[i].data, chunks.side_by_side())
                      : view_.dense    ? repeated[i].repeat(on_.function, x, values[i].data, values[i].stride_n)
                                       : repeated[i].repeat_positions(on_.function, x, values[i].data));
            of_parts[i] = {repeated[i].data, repeated[i].stride_n};
        }
        if (chunks.applies()) {
            return chunks.compute(on_.function, sums_.from(first), [&](const auto &of, const Sums &sums) {
                return sum_part(of(x), of(dy), kTiny, of_parts, sums, 0);
            });
        }
        if (view_.transposed) {
            return sum_part(positions_as_channels(x), positions_as_channels(dy), view_.planes, of_parts,
                            sums_.from(first), channels, x.r.extent);
        }
        return for_parts(on_.function, view_, x, sums_.from(first),
                         [&](const auto &of, int64_t repeats, const Sums &sums, int64_t sums_n) {
                             return sum_part(of(x), of(dy), view_.planes, repeats == 1 ? values : of_parts, sums,
                                             sums_n);
                         });
    }

    // values: m, a, b, and the scales of x and dy
    hnorm_status sum_part(const View &x, const View &dy, PlaneClass planes, const Values<float> *values,
                          const Sums &sums, int64_t sums_n, int64_t together = 1) {
        RunSums runs(x, planes, measured_ ? sums : Sums{sums.e, sums.q, {}}, sums_n, together);
        HNORM_TRY(runs.reserve(on_.function));
        const SerialScope serial(serial_);
        HNORM_TRY(run_gradient_kernel(on_, planes, x, dy, values, gate_.slope, measured_, &runs));
        runs.add_up();
        return HNORM_OK;
    }

    const Cpu &on_;
    const detail::Gate gate_;
    const bool serial_;
};

}  // namespace

hnorm_status Cpu::reduce(const CheckedTensor &x, const CheckedTensor &dy, const Normalization &by, const Backward *,
                         const GroupSums &sums, Gate *gate, Gradient *) const {
    const SumsView given = sums_view(x, &dy, sums.group);
    SumsView all = given;
    ScratchOf<char> copies;
    if (gate->m.stride_n == given.x.g0.extent) {
        all = one_row(given);
        if (faster_side_by_side(all)) {
            const int64_t bytes = all.x.elements() * all.x.element_size();
            HNORM_TRY(copies.reserve(function, 2 * bytes));
            all.x = side_by_side(given.x, copies.data());
            all.dy = side_by_side(given.dy, copies.data() + bytes);
        }
    }
    HNORM_TRY(for_channels(all, [&](const SumsView &view, int64_t first) {
        const Slice slice = {0, 1, first, first + 1};
        const detail::Gate of_view = {gate->m.from(slice), gate->a.from(slice), gate->b.from(slice), gate->slope};
        return CpuGradientSums(*this, view, of_view).compute(sums.dy + first, sums.dy_xmu + first);
    }));
    // About the mean itself.
    const int64_t channels = given.x.g0.extent;
    for_together(given.x.g1.extent, channels, [&](int64_t n, int64_t c, int64_t count, int64_t first) {
        const Gathered means(by.mean, channels, n, c, count), m(gate->m, channels, n, c, count);
        const double *const dy_sums = sums.dy + first;
        double *const xmu_sums = sums.dy_xmu + first;
        wide([&]() HNORM_INLINED {
            for (int64_t i = 0; i < count; ++i) {
                xmu_sums[i] = xmu_sums[i] - (means.of[i] - m.of[i]) * dy_sums[i];
            }
        });
    });
    return HNORM_OK;
}

}  // namespace hnorm::detail

using namespace hnorm::detail;

extern "C" {

hnorm_status hnorm_backward_reduce(const hnorm_tensor *x, const hnorm_tensor *dy, hnorm_group group, const double *mean,
                                   double *sum_dy, double *sum_dy_xmu) {
    const char *const function = "hnorm_backward_reduce";
    GradientTensors tensors(x, dy, nullptr);
    HNORM_TRY(tensors.read(function, true, false));
    HNORM_TRY(read_one_channel(function, tensors.dy.planes.c, &group));
    const CheckedTensor &in = tensors.x.planes;
    const int64_t groups = in.groups(group);
    const Array means("mean", mean, groups), sums("sum_dy", sum_dy, groups);
    HNORM_TRY(check_read(function, means, tensors));
    HNORM_TRY(check_written(function, sums, tensors, {means}));
    HNORM_TRY(check_written(function, {"sum_dy_xmu", sum_dy_xmu, groups}, tensors, {means, sums}));
    Machine machine;
    HNORM_TRY(machine.find(function, *x));
    const BackwardReduce arguments = {
        in, tensors.dy.planes, group_values(mean, in, {group}), {sum_dy, sum_dy_xmu, {group}}};
    return machine.run(&Device::backward_reduce, compute_backward_reduce<Cpu>, arguments);
}

}  // extern "C"
