// Stores past the cache. If the last-level cache cannot hold an output beside the inputs, the
// output gains nothing from the cache: an ordinary store first reads the line, and displaces data
// that will be read next. Kernels can store whole tiles past the cache instead
// (schedules/past_cache.h). They compute the same, so no bit depends on it.
//
// Rows of such an output (planes, or channels-last positions) are whole cache lines. A line that is
// written half past the cache and half through it costs more than ten ordinary lines (measured on
// Zen 3). So ordinary stores write such lines.
#pragma once

#include <atomic>
#include <cstdint>
#include <initializer_list>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "error.h"
#include "kernels.h"
#include "tensor.h"
#include "threads.h"

namespace hnorm::detail {

constexpr int64_t kLine = 64;

// Bytes that the last-level cache of a core holds, read once.
int64_t last_level_cache();

// Whether y is stored past the cache. It is if y and its inputs together take more than the
// target's share of the cache, and if the rows of y are whole lines, or are so long that their ends
// can be left out. It is not if y lies among the bytes of an input, as in place. A null input is
// absent.
bool goes_past_cache(const Dispatch &dispatch, const Planes &y, std::initializer_list<const Planes *> inputs);

// For tests: in place of the cache's share, if 0 or more.
extern "C" std::atomic<int64_t> hnorm_past_cache_bytes;

// A thread calls this before it tells other threads that it is done. Stores past the cache are not
// ordered with the store that tells it.
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

// The parts of an output y that goes past the cache. Together they hold each element once. A task
// has a part of whole lines, and the parts before and after it. If all rows are whole lines, there
// is one task, which has whole lines only.
class LineParts {
public:
    explicit LineParts(const Planes &y);

    int64_t tasks() const { return whole_ ? 1 : y_.n * (y_.c / channels_); }
    // Calls compute(part, lines) for the parts of task i that are not empty. lines: whether the
    // rows of the part are whole lines.
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

// Calls compute(part, lines) for all LineParts. Several tasks run in parallel, each on one thread.
// If there is one task, the loops inside it run in parallel.
template <typename Compute>
hnorm_status for_lines(const char *function, const Planes &y, const Compute &compute) {
    const LineParts parts(y);
    const auto run = [&](int64_t i) { return parts.run(i, compute); };
    const hnorm_status status = parts.tasks() == 1 ? run(0) : parallel_for(function, parts.tasks(), run);
    store_fence();  // of what this thread stored outside the pool's loops
    return status;
}

}  // namespace hnorm::detail
