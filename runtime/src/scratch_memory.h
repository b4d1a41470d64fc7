// The working memory of calls on the CPU: what kernels allocate while they run, and arrays of the
// runtime.
#pragma once

#include <cstddef>

namespace hnorm::detail {

// Tells Halide's runtime to take it from here.
void install_scratch_memory();

// Memory of the current context's allocator, aligned to 128 bytes; null if there is none.
void *allocate_scratch(size_t size);
// Frees it, on any thread. Null is allowed.
void free_scratch(void *memory);

// Gives back what is kept of it for later calls.
void give_back_scratch_memory();

}  // namespace hnorm::detail
