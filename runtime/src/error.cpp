#include "error.h"

#include <HalideRuntime.h>

#include <cstdarg>
#include <cstdio>
#include <utility>

namespace hnorm::detail {

namespace {

// Long enough for two shapes of rank 5 and the words around them; a longer sentence is cut.
thread_local char last_error[1024] = "";
thread_local char last_kernel_message[512] = "";
thread_local int loop_failure = 0;

}  // namespace

hnorm_status fail(hnorm_status status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(last_error, sizeof last_error, format, arguments);
    va_end(arguments);
    return status;
}

const char *kernel_message() { return last_kernel_message; }

void set_kernel_message(const char *message) {
    std::snprintf(last_kernel_message, sizeof last_kernel_message, "%s", message ? message : "");
}

void fail_loop(int code) { loop_failure = code; }

int take_loop_failure() { return std::exchange(loop_failure, 0); }

hnorm_status kernel_status(const char *function, int code) {
    const int of_loop = take_loop_failure();
    if (code == halide_error_code_success) {
        code = of_loop;
    }
    if (code == halide_error_code_success) {
        return HNORM_OK;
    }
    if (code == halide_error_code_out_of_memory) {
        return fail(HNORM_OUT_OF_MEMORY, "%s: out of memory in a kernel; what it writes is incomplete", function);
    }
    if (code == kCallersFault) {
        return fail(HNORM_INVALID_ARGUMENT, "%s: %s", function, kernel_message());
    }
    return fail(HNORM_INTERNAL, "%s: a kernel failed with code %d: %s", function, code, kernel_message());
}

}  // namespace hnorm::detail

extern "C" {

const char *hnorm_last_error(void) { return hnorm::detail::last_error; }

const char *hnorm_status_name(hnorm_status status) {
    switch (status) {
    case HNORM_OK: return "HNORM_OK";
    case HNORM_INVALID_ARGUMENT: return "HNORM_INVALID_ARGUMENT";
    case HNORM_UNSUPPORTED: return "HNORM_UNSUPPORTED";
    case HNORM_OUT_OF_MEMORY: return "HNORM_OUT_OF_MEMORY";
    case HNORM_INTERNAL: return "HNORM_INTERNAL";
    case HNORM_FILE_ERROR: return "HNORM_FILE_ERROR";
    case HNORM_DEVICE_ERROR: return "HNORM_DEVICE_ERROR";
    case HNORM_COMM_ERROR: return "HNORM_COMM_ERROR";
    }
    return "unknown hnorm_status";
}

const char *hnorm_version(void) { return HNORM_VERSION; }

}  // extern "C"
