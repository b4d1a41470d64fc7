// How the CPU runs a pointwise kernel: the parts of an output that goes past the cache, few
// channels, and small planes.
#pragma once

#include <algorithm>
#include <array>

#include "buffers.h"
#include "call.h"
#include "error.h"
#include "past_cache.h"
#include "reduction.h"
#include "threads.h"
#include "values.h"

namespace hnorm::detail {

// Tensors of one shape, of which the last is written, and floats of their groups with stride_c 1.
template <size_t kTensors, size_t kValues>
struct Operands {
    std::array<Planes, kTensors> tensors;
    std::array<Values<float>, kValues> values;

    bool per_sample() const {
        return std::any_of(values.begin(), values.end(), [](const Values<float> &v) { return v.stride_n != 0; });
    }
    bool dense() const {
        return std::all_of(values.begin(), values.end(),
                           [this](const Values<float> &v) { return v.stride_n == tensors[0].c; });
    }
    Operands from(const Part &part) const {
        Operands result;
        std::transform(tensors.begin(), tensors.end(), result.tensors.begin(),
                       [&](const Planes &p) { return cropped(p, part); });
        std::transform(values.begin(), values.end(), result.values.begin(),
                       [&](const Values<float> &v) { return v.from(part.planes); });
        return result;
    }
};

// What a kernel is called with. lines: the output goes past the cache, and its rows are whole lines.
template <size_t kTensors, size_t kValues>
class PointwiseCall {
public:
    PointwiseCall(const PointwiseView &view, const std::array<Values<float>, kValues> &its_values, bool its_lines)
        : planes(view.planes),
          lines(its_lines),
          tensors_(make_tensors(view, std::make_index_sequence<kTensors>())),
          values_(make_values(view.tensors[0], its_values, std::make_index_sequence<kValues>())) {}

    halide_buffer_t *tensor(int i) { return tensors_[i]; }
    halide_buffer_t *value(int i) { return values_[i]; }

    const PlaneClass planes;
    const bool lines;

private:
    template <size_t... k>
    static std::array<TensorBuffer, kTensors> make_tensors(const PointwiseView &view, std::index_sequence<k...>) {
        return {TensorBuffer(view.tensors[k])...};
    }
    template <size_t... k>
    static std::array<GroupBuffer, kValues> make_values(const View &x, const std::array<Values<float>, kValues> &values,
                                                        std::index_sequence<k...>) {
        return {GroupBuffer(values[k].data, x, values[k].stride_n)...};
    }

    std::array<TensorBuffer, kTensors> tensors_;
    std::array<GroupBuffer, kValues> values_;
};

// Calls launch for tensors that no cache is a concern of.
template <size_t kTensors, size_t kValues, typename Launch>
hnorm_status launch_pointwise(const CpuCall &on, const Operands<kTensors, kValues> &of, bool lines,
                              const Launch &launch) {
    using Floats = std::array<Values<float>, kValues>;
    const PointwiseView view = pointwise_view(of.tensors.data(), kTensors, of.per_sample(), of.dense());
    const View &x = view.tensors[0];
    const SerialScope serial(on.is_serial(x.type, x.elements()));
    const auto call = [&](const Floats &values, const auto &piece) {
        PointwiseView of_piece = view;
        std::transform(view.tensors.begin(), view.tensors.begin() + kTensors, of_piece.tensors.begin(), piece);
        PointwiseCall<kTensors, kValues> arguments(of_piece, values, lines);
        return kernel_status(on.function, launch(arguments));
    };
    switch (view.split) {
    case Split::kNone: break;
    case Split::kParts: {
        std::array<RepeatedFloats, kValues> repeated;
        Floats values;
        for (size_t i = 0; i < kValues; ++i) {
            HNORM_TRY(repeated[i].repeat(on.function, x, of.values[i].data, of.values[i].stride_n));
            values[i] = {repeated[i].data, repeated[i].stride_n};
        }
        HNORM_TRY(call(values, few_channels_parts));
        return few_channels_remainder(x).s.extent == 0 ? HNORM_OK : call(of.values, few_channels_remainder);
    }
    case Split::kFlat: {
        const int64_t positions = of.tensors[0].s, channels = x.g0.extent / positions;
        const int64_t step = std::max<int64_t>(on.dispatch(x.type).flat_elements / positions / kLine, 1) *
                             kLine;  // whole lines of channels
        const auto compute = [&](int64_t i) {
            const int64_t begin = i * step, end = std::min(begin + step, channels), size = (end - begin) * positions;
            ScratchOf<float> memory;
            HNORM_TRY(memory.reserve(on.function, kValues * size));
            Floats values;
            for (size_t v = 0; v < kValues; ++v) {
                float *to = memory.data() + v * size;
                values[v] = {to, 0};
                for (int64_t c = begin; c < end; ++c, to += positions) {
                    std::fill_n(to, positions, of.values[v].data[c]);
                }
            }
            const Range range = {0, 1, begin * positions, end * positions};
            return call(values, [&](const View &tensor) { return cropped(tensor, range); });
        };
        return parallel_for(on.function, (channels + step - 1) / step, compute);
    }
    }
    return call(of.values, [](const View &tensor) { return tensor; });
}

// Calls launch(call), which calls a kernel, for pieces that together are all elements of the
// operands. past_cache: whether the last tensor goes past the cache.
template <size_t kTensors, size_t kValues, typename Launch>
hnorm_status for_pointwise(const CpuCall &on, const Operands<kTensors, kValues> &of, bool past_cache,
                           const Launch &launch) {
    if (!past_cache) {
        return launch_pointwise(on, of, false, launch);
    }
    return for_lines(on.function, of.tensors[kTensors - 1],
                     [&](const Part &part, bool lines) { return launch_pointwise(on, of.from(part), lines, launch); });
}

}  // namespace hnorm::detail
