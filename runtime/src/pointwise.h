// How the CPU runs a pointwise kernel: on the planes or positions of the tensors, on rows of their
// elements, or on the whole lines of an output that goes past the cache, and what is beside them.
#pragma once

#include <algorithm>
#include <array>

#include "buffers.h"
#include "call.h"
#include "element_rows.h"
#include "error.h"
#include "past_cache.h"
#include "reduction.h"
#include "threads.h"
#include "values.h"

namespace hnorm::detail {

// Tensors of one shape, of which the last is written, and values of their groups, whose stride_c is
// 1.
template <size_t kTensors, size_t kValues>
struct Operands {
    std::array<CheckedTensor, kTensors> tensors;
    std::array<Values<float>, kValues> values;

    bool per_sample() const {
        return std::any_of(values.begin(), values.end(), [](const Values<float> &v) { return v.stride_n != 0; });
    }
    // Whether the output is none of the inputs. It does not overlap them otherwise.
    bool apart() const {
        const void *const output = tensors[kTensors - 1].data;
        return std::none_of(tensors.begin(), tensors.end() - 1,
                            [output](const CheckedTensor &input) { return input.data == output; });
    }
    bool dense() const {
        return std::all_of(values.begin(), values.end(),
                           [this](const Values<float> &v) { return v.stride_n == tensors[0].c; });
    }
    // Whether all samples of one channel are one plane, and the operands as such.
    bool are_one_plane() const {
        return tensors[0].n > 1 && std::all_of(tensors.begin(), tensors.end(), is_one_plane) && !per_sample();
    }
    Operands one_plane() const {
        Operands result = *this;
        std::transform(tensors.begin(), tensors.end(), result.tensors.begin(), as_one_plane);
        return result;
    }
    Operands from(const Part &part) const {
        Operands result;
        std::transform(tensors.begin(), tensors.end(), result.tensors.begin(),
                       [&](const CheckedTensor &p) { return cropped(p, part); });
        std::transform(values.begin(), values.end(), result.values.begin(),
                       [&](const Values<float> &v) { return v.from(part.planes); });
        return result;
    }
};

// What a kernel is called with.
template <size_t kTensors, size_t kValues>
class PointwiseCall {
public:
    PointwiseCall(const PointwiseView &view, const std::array<Values<float>, kValues> &its_values, Stores its_stores)
        : planes(view.planes),
          stores(its_stores),
          tensors_(make_tensors(view, std::make_index_sequence<kTensors>())),
          values_(make_values(view.tensors[0], its_values, std::make_index_sequence<kValues>())) {}

    halide_buffer_t *tensor(int i) { return tensors_[i]; }
    halide_buffer_t *value(int i) { return values_[i]; }

    const PlaneClass planes;
    const Stores stores;

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

// Calls launch(call) for all planes or positions of the operands. lines: the output goes past the
// cache; its rows are whole cache lines.
template <size_t kTensors, size_t kValues, typename Launch>
hnorm_status launch_pointwise(const CpuCall &on, const Operands<kTensors, kValues> &of, bool lines,
                              const Launch &launch) {
    const PointwiseView view = pointwise_view(of.tensors.data(), kTensors, of.per_sample(), of.dense());
    const View &x = view.tensors[0];
    const SerialScope serial(on.is_serial(x.type, x.elements()));
    PointwiseCall<kTensors, kValues> arguments(view, of.values, lines ? kPastCache : of.apart() ? kApart : kInPlace);
    return kernel_status(on.function, launch(arguments));
}

// The same for some elements of dense tensors.
template <size_t kTensors, size_t kValues, typename Launch>
hnorm_status launch_elements(const CpuCall &on, const Operands<kTensors, kValues> &of, const ElementRows &rows,
                             bool lines, const Launch &launch) {
    if (rows.columns <= 0 || rows.rows <= 0) {
        return HNORM_OK;
    }
    const CheckedTensor &y = of.tensors[kTensors - 1];
    const int64_t size = rows.blocks * rows.columns + ElementRows::kStep;
    ScratchOf<float> memory;
    HNORM_TRY(memory.reserve(on.function, static_cast<int64_t>(kValues) * size));
    Operands<kTensors, kValues> seen;
    std::transform(of.tensors.begin(), of.tensors.end(), seen.tensors.begin(),
                   [&](const CheckedTensor &p) { return rows.of(p); });
    for (size_t v = 0; v < kValues; ++v) {
        if (v > 0 && of.values[v].data == of.values[0].data) {
            seen.values[v] = seen.values[0];
            continue;
        }
        float *const to = memory.data() + static_cast<int64_t>(v) * size;
        rows.repeat(y, of.values[v], to);
        seen.values[v] = {to, rows.blocks == 1 ? 0 : rows.columns};
    }
    return launch_pointwise(on, seen, lines, launch);
}

// Dense tensors as rows of elements, and what is before and after them. Channels-first, samples
// share the values.
template <size_t kTensors, size_t kValues, typename Launch>
hnorm_status launch_line_rows(const CpuCall &on, const Operands<kTensors, kValues> &of, bool lines,
                              const Launch &launch) {
    const CheckedTensor &y = of.tensors[kTensors - 1];
    const LineRows by(y, lines, on.dispatch(y.type).flat_elements);
    if (y.layout == Layout::kChannelsLast) {
        const bool each = of.per_sample() && y.n > 1;
        if (each && lines) {  // Samples may begin at different places of a line.
            for (int64_t n = 0; n < y.n; ++n) {
                HNORM_TRY(launch_line_rows(on, of.from({{n, n + 1, 0, y.c}, 0, y.s}), true, launch));
            }
            return HNORM_OK;
        }
        const int64_t all = (each ? 1 : y.n) * y.c * y.s, head = std::min(by.head, all), blocks = each ? y.n : 1;
        const int64_t rows = (all - head) / by.columns, end = head + rows * by.columns;
        HNORM_TRY(launch_elements(on, of, {0, head, 1, blocks}, false, launch));
        HNORM_TRY(launch_elements(on, of, {head, by.columns, rows, blocks}, lines, launch));
        return launch_elements(on, of, {end, all - end, 1, blocks}, false, launch);
    }
    const int64_t all = y.c * y.s, head = std::min(by.head, all), line = kLine / y.element_size();
    const int64_t end = lines ? head + (all - head) / line * line : all;
    const int64_t tasks = std::max<int64_t>((end - head + by.columns - 1) / by.columns, 1);
    return parallel_for(on.function, tasks, [&](int64_t i) {
        const int64_t begin = head + i * by.columns;
        if (i == 0) {
            HNORM_TRY(launch_elements(on, of, {0, head, y.n}, false, launch));
        }
        HNORM_TRY(launch_elements(on, of, {begin, std::min(by.columns, end - begin), y.n}, lines, launch));
        return i == tasks - 1 ? launch_elements(on, of, {end, all - end, y.n}, false, launch) : HNORM_OK;
    });
}

// Planes whose positions from `begin` to `end` are whole lines, and what is before and after these.
template <size_t kTensors, size_t kValues, typename Launch>
hnorm_status launch_cut(const CpuCall &on, const Operands<kTensors, kValues> &of, int64_t begin, int64_t end,
                        const Launch &launch) {
    const CheckedTensor &y = of.tensors[kTensors - 1];
    const auto part = [&](int64_t from, int64_t to, bool lines) {
        return from < to ? launch_pointwise(on, of.from({all_of(y), from, to}), lines, launch) : HNORM_OK;
    };
    HNORM_TRY(part(begin, end, true));
    if (y.c == 1 || !std::all_of(of.tensors.begin(), of.tensors.end(), is_dense)) {
        HNORM_TRY(part(0, begin, false));
        return part(end, y.s, false);
    }
    // The end of a plane and the beginning of the next one are one line: vectors of adjacent
    // elements.
    for (int64_t n = 0; n < (of.per_sample() ? y.n : 1); ++n) {
        const Operands<kTensors, kValues> samples = of.per_sample() ? of.from({{n, n + 1, 0, y.c}, 0, y.s}) : of;
        const int64_t rows = samples.tensors[0].n;
        HNORM_TRY(launch_elements(on, samples, {0, begin, rows}, false, launch));
        HNORM_TRY(launch_elements(on, samples, {end, y.s - end + begin, rows, y.c - 1}, false, launch));
        HNORM_TRY(launch_elements(on, samples, {(y.c - 1) * y.s + end, y.s - end, rows}, false, launch));
    }
    return HNORM_OK;
}

// Calls launch(call), which calls a kernel, for pieces that together are all elements of the
// operands. past_cache: whether the last tensor goes past the cache.
template <size_t kTensors, size_t kValues, typename Launch>
hnorm_status for_pointwise(const CpuCall &on, const Operands<kTensors, kValues> &of, bool past_cache,
                           const Launch &launch) {
    if (of.are_one_plane()) {
        return for_pointwise(on, of.one_plane(), past_cache, launch);
    }
    const CheckedTensor &y = of.tensors[kTensors - 1];
    const SerialScope serial(on.is_serial(y.type, y.elements()));
    const auto compute = [&]() -> hnorm_status {
        switch (past_cache ? whole_lines(y, {&of.tensors[0], &of.tensors[kTensors - 2]}, !of.per_sample())
                           : WholeLines::kNone) {
        case WholeLines::kNone: break;
        case WholeLines::kRows: return launch_pointwise(on, of, true, launch);
        case WholeLines::kCut: {
            const LineParts parts(y);
            return parallel_for(on.function, parts.tasks(), [&](int64_t i) {
                const Part lines = parts.lines(i);
                return launch_cut(on, of.from({lines.planes, 0, y.s}), lines.s_begin, lines.s_end, launch);
            });
        }
        case WholeLines::kElements:
            if (of.per_sample() && !LineRows::are_many(y, y.c * y.s)) {
                break;
            }
            return launch_line_rows(on, of, true, launch);
        }
        return faster_by_elements(of.tensors.data(), kTensors, of.per_sample())
                   ? launch_line_rows(on, of, false, launch)
                   : launch_pointwise(on, of, false, launch);
    };
    const hnorm_status status = compute();
    if (past_cache) {
        store_fence();  // of what this thread stored outside the pool's loops
    }
    return status;
}

}  // namespace hnorm::detail
