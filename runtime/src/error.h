// Failures: a status, and a sentence kept for the thread that called.
#pragma once

#include <hnorm/hnorm.h>

namespace hnorm::detail {

// Records the sentence (printf's format) as the calling thread's latest failure and returns
// `status`. Never allocates.
hnorm_status fail(hnorm_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

// The error message of the latest kernel that failed on this thread, or "" if none has failed.
const char *kernel_message();
void set_kernel_message(const char *message);

// The code that a loop returns if the caller's parallel_for has made a mistake. The codes of Halide
// are greater.
constexpr int kCallersFault = -10000;

// The loops of the CPU's kernels fail here: a kernel goes on behind a loop that has failed, and
// does not return its code (docs/reliability.md, "Kernels check nothing"). So the thread that
// called the kernel keeps the code.
void fail_loop(int code);
// The code of a loop that has failed on this thread since it was asked last, or 0.
int take_loop_failure();

// The status of a kernel that returned `code` on this thread; a failure is recorded with
// kernel_message().
hnorm_status kernel_status(const char *function, int code);

}  // namespace hnorm::detail

// Leaves the current function with the status of `expression` if that is a failure.
#define HNORM_TRY(expression)                             \
    do {                                                  \
        const hnorm_status hnorm_try_status = expression; \
        if (hnorm_try_status != HNORM_OK) {               \
            return hnorm_try_status;                      \
        }                                                 \
    } while (false)
