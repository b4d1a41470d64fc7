// Stores past the cache. If the last-level cache cannot hold an output beside the inputs, the
// output gains nothing from the cache: an ordinary store first reads the line, and displaces data
// that will be read next. Kernels can store whole tiles past the cache instead
// (schedules/past_cache.h). They compute the same, so no bit depends on it.
//
// What is stored past the cache are whole cache lines. A line that is written half past the cache
// and half through it costs more than ten ordinary lines (measured on Zen 3). So ordinary stores
// write such lines. They are at the ends of the planes, or of all elements.
#pragma once

#include <algorithm>
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

inline int64_t misalignment(const char *address) {
    return static_cast<int64_t>(reinterpret_cast<uintptr_t>(address) % kLine);
}

// Bytes that the last-level cache of a core holds, read once.
int64_t last_level_cache();

// Where an output y and its inputs, tensors of y's shape, have whole lines. Rows are planes, or
// channels-last positions.
enum class WholeLines {
    kNone,
    kRows,     // each row is whole lines
    kCut,      // planes are so long that their ends can be left out (LineParts)
    kElements  // all tensors are dense, so lines may hold the elements of several rows (element_rows.h)
};
// Whether all elements lie side by side: channels-first those of each sample, channels-last all.
bool is_dense(const CheckedTensor &p);
// after_sums: y is written right after the sums of a block of batch norm's groups, so that the
// inputs are in a cache. Only then kElements is faster than ordinary stores if planes are
// channels-first, for there each element has values of its own to read.
WholeLines whole_lines(const CheckedTensor &y, std::initializer_list<const CheckedTensor *> inputs, bool after_sums);

// Whether y is stored past the cache. It is if y and its inputs together take more than the
// target's share of the cache, and if y has whole lines. It is not if y lies among the bytes of an
// input, as in place. A null input is absent.
bool goes_past_cache(const Dispatch &dispatch, const CheckedTensor &y,
                     std::initializer_list<const CheckedTensor *> inputs, bool after_sums);

// For tests: in place of the cache's share, if 0 or more.
extern "C" std::atomic<int64_t> hnorm_past_cache_bytes;

// A thread calls this before it tells other threads that it is done. Stores past the cache are not
// ordered with the store that tells it.
inline void store_fence() {
#if defined(__x86_64__)
    _mm_sfence();
#endif
}

// A part of a tensor: the positions s_begin <= s < s_end of some planes.
struct Part {
    Slice planes;
    int64_t s_begin, s_end;
};
CheckedTensor cropped(const CheckedTensor &p, const Part &part);

// The tasks of an output y whose planes are cut (WholeLines::kCut).
class LineParts {
public:
    explicit LineParts(const CheckedTensor &y);

    int64_t tasks() const { return (y_.n + samples_ - 1) / samples_ * (y_.c / channels_); }
    // The planes of task i, and their positions that are whole lines.
    Part lines(int64_t i) const;

private:
    const CheckedTensor y_;
    // Of a task. All channels, where their planes begin alike in their line, or one; then as many
    // samples as it takes to make the calls for the ends worth their while, if they begin alike,
    // too.
    const int64_t channels_, samples_;
};

}  // namespace hnorm::detail
