// The pointwise part of batch norm for small channels-first planes. A sample is treated as one
// channels-last position, and each of its elements as a channel, with the values of the channel
// that it belongs to. So vectors are full for every size of planes, and rows are long.
#pragma once

#include <algorithm>
#include <initializer_list>

#include "coefficients.h"
#include "error.h"
#include "past_cache.h"
#include "threads.h"

namespace hnorm::detail {

// Whether all of the tensors are treated so. A null tensor is absent. The values are repeated once
// for all samples, which pays only if there are several samples: writing them costs an eighth of
// the work on eight samples, whatever the target.
inline bool is_flat(std::initializer_list<const Planes *> tensors) {
    constexpr int64_t kLeastSamples = 8;
    return std::all_of(tensors.begin(), tensors.end(), [](const Planes *p) {
        return p == nullptr || (p->layout == Layout::kChannelsFirst && plane_class(p->s) == kTiny &&
                                p->n >= kLeastSamples && (p->c == 1 || p->stride_c == p->s));
    });
}

inline Planes flat(Planes p) {
    return {p.data, p.type, p.device, Layout::kChannelsLast, 1, p.c * p.s, p.n, 0, p.c * p.s == 1 ? 0 : 1, p.stride_n};
}

// Calls compute(range, values) for blocks of channels, in parallel. The values of a channel are
// repeated for each of its positions.
template <int kValues, typename Compute>
hnorm_status for_flat(const char *function, const Machine &machine, const Planes &x,
                      const GroupFloats (&values)[kValues], const Compute &compute) {
    struct Tasks {
        const char *function;
        const Planes &x;
        const GroupFloats (&values)[kValues];
        const Compute &compute;
        int64_t channels;  // of a task, whole lines of them

        hnorm_status run(int64_t i) const {
            const int64_t begin = i * channels, end = std::min(begin + channels, x.c), size = (end - begin) * x.s;
            ScratchOf<float> memory;
            HNORM_TRY(memory.reserve(function, kValues * size));
            GroupFloats repeated[kValues];
            for (int v = 0; v < kValues; ++v) {
                float *to = memory.data() + v * size;
                repeated[v] = {to, 0};
                for (int64_t c = begin; c < end; ++c, to += x.s) {
                    std::fill_n(to, x.s, values[v].data[c]);
                }
            }
            return compute(Range{0, x.n, begin, end}, repeated);
        }
    } tasks = {function, x, values, compute,
               std::max<int64_t>(machine.dispatch(x).flat_elements / x.s / kLine, 1) * kLine};
    const SerialScope small(runs_serially(machine, x));
    return parallel_for(
        function, (x.c + tasks.channels - 1) / tasks.channels,
        [](void *argument, int64_t i) {
            const SerialScope serial(true);
            return static_cast<const Tasks *>(argument)->run(i);
        },
        &tasks);
}

}  // namespace hnorm::detail
