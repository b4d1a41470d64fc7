// Three ways to copy x to y, and to add x and y, on hnorm's own threads: what memory allows, for
// kernels to be measured against.
#pragma once

#include <cstdint>

namespace hnorm::bench {

enum class Copy {
    kOrdinary,   // the copy floor: vector loads and ordinary stores, as the kernels do
    kMemcpy,     // the C library's
    kStreaming,  // stores past the cache; equal to kOrdinary where the CPU has none that we know
};

// Copies `count` floats in tasks of 64 KiB, dealt by hnorm's warm thread pool exactly as a kernel's
// tasks are. x and y must start at a multiple of 64 bytes. hnorm must have been called before: its
// first call starts the pool.
void copy(Copy kind, const float *x, float *y, int64_t count);

// z = x + y in the same way: the floor of kernels that read two tensors and write one (backward).
void add(const float *x, const float *y, float *z, int64_t count);

const char *copy_name(Copy kind);  // "ordinary"
// The widest vectors of this CPU, which kOrdinary and kStreaming use: "avx512", "avx", "sse2" or
// "compiler".
const char *copy_vectors();

}  // namespace hnorm::bench
