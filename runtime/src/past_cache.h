// Stores past the cache. An output that the last-level cache cannot hold beside the inputs gains nothing by passing through it:
// an ordinary store reads the line first, and pushes out what will be read next. Kernels that are told so store whole tiles past
// it (schedules/past_cache.h). They compute the same, so no bit depends on it.
//
// Rows of such an output, planes or channels-last positions, are whole cache lines. A line that is written half past the cache and
// half through it costs more than ten ordinary ones (measured on Zen 3): such lines are left to ordinary stores.
#pragma once

#include <atomic>
#include <cstdint>
#include <initializer_list>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "compute.h"
#include "error.h"
#include "threads.h"

namespace hnorm::detail {

constexpr int64_t kLine = 64;

// Bytes that the last-level cache of a core holds, read once.
int64_t last_level_cache();

// Whether y, computed from the inputs (null: absent), is stored past the cache: where all of them together take more than the
// target's share of it, and y's rows are whole lines or long enough to leave their ends out. Never where y lies among the bytes of
// an input, as in place.
bool goes_past_cache(const Target &target, const Planes &y, std::initializer_list<const Planes *> inputs);

// For tests: in place of the cache's share, if 0 or more.
extern "C" std::atomic<int64_t> hnorm_past_cache_bytes;

// Before a thread tells others that it is done: stores past the cache are not in order with those that say so.
inline void store_fence() {
#if defined(__x86_64__)
    _mm_sfence();
#endif
}

// A part of a tensor: positions of some planes, the range half open.
struct Part {
    Range planes;
    int64_t s_begin, s_end;
};
Planes cropped(const Planes &p, const Part &part);

// What makes up y, of an output that goes past the cache, each element once: tasks of a part of whole lines and of what stands
// before and after it. One task, all of it whole lines, where all rows are.
class LineParts {
public:
    explicit LineParts(const Planes &y);

    int64_t tasks() const { return whole_ ? 1 : y_.n * (y_.c / channels_); }
    // Calls compute(part, lines) for those of task i that are not empty; `lines`: whether its rows are whole lines.
    template <typename Compute>
    hnorm_status run(int64_t i, const Compute &compute) const {
        if (whole_) {
            return compute(Part{{0, y_.n, 0, y_.c}, 0, y_.s}, true);
        }
        const int64_t tasks_of_sample = y_.c / channels_, n = i / tasks_of_sample, c = i % tasks_of_sample * channels_;
        int64_t ends[] = {0, 0, y_.s};
        find_lines(n, c, ends);
        int64_t begin = 0;
        for (int k = 0; k < 3; ++k) {
            if (begin < ends[k]) {
                HNORM_TRY(compute(Part{{n, n + 1, c, c + channels_}, begin, ends[k]}, k == 1));
            }
            begin = ends[k];
        }
        return HNORM_OK;
    }

private:
    // The positions of a plane at which its whole lines begin and end.
    void find_lines(int64_t n, int64_t c, int64_t *ends) const;

    const Planes y_;
    const bool whole_;
    const int64_t channels_;  // of a task: all, where their planes begin alike in their line, or one
};

// compute(part, lines) for all of LineParts. Tasks run in parallel, each on its thread; if there is one, its own loops do.
template <typename Compute>
hnorm_status for_lines(const char *function, const Planes &y, const Compute &compute) {
    struct Tasks {
        LineParts parts;
        const Compute &compute;
    } tasks = {LineParts(y), compute};
    const bool one = tasks.parts.tasks() == 1;
    const hnorm_status status = one ? tasks.parts.run(0, compute)
                                    : parallel_for(
                                          function, tasks.parts.tasks(),
                                          [](void *argument, int64_t i) {
                                              const SerialScope serial(true);
                                              const Tasks &tasks = *static_cast<const Tasks *>(argument);
                                              return tasks.parts.run(i, tasks.compute);
                                          },
                                          &tasks);
    store_fence();  // of what this thread stored outside the pool's loops
    return status;
}

}  // namespace hnorm::detail
