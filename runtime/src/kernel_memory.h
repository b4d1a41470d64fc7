// The memory that kernels allocate while they run.
#pragma once

namespace hnorm::detail {

// Tells Halide's runtime to take it from here.
void install_kernel_memory();

// Gives back what is kept of it for later calls.
void give_back_kernel_memory();

}  // namespace hnorm::detail
