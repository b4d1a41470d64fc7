// Failures: a status, and a sentence kept for the thread that called.
#pragma once

#include <hnorm/hnorm.h>

namespace hnorm::detail {

// Records the sentence (printf's format) as the calling thread's latest failure and returns `status`. Never allocates.
hnorm_status fail(hnorm_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

// What a kernel said when it failed, on the thread where it ran; "" before the first failure.
const char *kernel_message();
void set_kernel_message(const char *message);

// What a loop returns where the caller's parallel_for is to blame, as a kernel does by the codes of Halide, which are greater.
constexpr int kCallersFault = -10000;

// The status of a kernel that returned `code`; a failure is recorded with kernel_message().
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
