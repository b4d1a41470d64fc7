// For a shared library's C functions that a program in another language calls (bench/library.py):
// one source of it includes this.
#pragma once

#include <exception>
#include <string>

#define HNORM_EXPORT extern "C" __attribute__((visibility("default")))

namespace hnorm::bench {

inline std::string error;

// 0, or 1 and a reason in hnorm_bench_error().
template <typename Work>
int guarded(const Work &work) {
    try {
        work();
        return 0;
    } catch (const std::exception &failure) {
        error = failure.what();
        return 1;
    }
}

}  // namespace hnorm::bench

HNORM_EXPORT const char *hnorm_bench_error() { return hnorm::bench::error.c_str(); }
