// Memory that runs out: the process's allocator, which fails where it is told to. Included by one
// source of a program.
#pragma once

#include "api.h"

#include <atomic>
#include <cerrno>
#include <cstdlib>

// The address sanitizer has an allocator of its own.
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define HNORM_FAILING_MEMORY 1

namespace failing {

inline std::atomic<long> left_to_go{-1};  // allocations before one fails; below 0: none does
inline std::atomic<bool> all_after{false};
inline std::atomic<long> failures{0}, live{0};

inline bool fails() {
    if (left_to_go < 0) return false;
    const long before = left_to_go.fetch_sub(1);
    if (before > 0) return false;
    if (all_after) left_to_go = 0;
    if (before < 0) return false;
    ++failures;
    errno = ENOMEM;
    return true;
}
inline void *counted(void *memory) {
    live += memory ? 1 : 0;
    return memory;
}

}  // namespace failing

extern "C" {
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void __libc_free(void *memory);

void *malloc(size_t size) { return failing::fails() ? nullptr : failing::counted(__libc_malloc(size)); }
void *calloc(size_t count, size_t size) {
    return failing::fails() ? nullptr : failing::counted(__libc_calloc(count, size));
}
void *realloc(void *memory, size_t size) {
    if (failing::fails()) return nullptr;
    void *const moved = __libc_realloc(memory, size);
    return memory ? moved : failing::counted(moved);
}
void free(void *memory) {
    failing::live -= memory ? 1 : 0;
    __libc_free(memory);
}
}

namespace failing {

// Calls it with the first allocation failing, then the second, ..., and with all from there on,
// until it asks for no more. after(status, kept): what is to be done after each call, which kept so
// many blocks. other: a status that it may give too where memory ran out.
template <typename Call, typename After>
void with_every_failure(const char *name, const Call &call, const After &after,
                        hnorm_status other = HNORM_OUT_OF_MEMORY) {
    for (bool all : {false, true}) {
        for (long at = 0;; at++) {
            all_after = all;
            failures = 0;
            left_to_go = at;
            const long before = live;
            const hnorm_status status = call();
            left_to_go = -1;
            const long kept = live - before;
            INFO(name << ": allocation " << at << (all ? " and all after it fail: " : " fails: ")
                      << hnorm_status_name(status) << ", " << hnorm_last_error());
            REQUIRE((status == HNORM_OK || ((status == HNORM_OUT_OF_MEMORY || status == other) && failures > 0)));
            after(status, kept);
            if (failures == 0) break;
            REQUIRE(at < 100000);
        }
    }
}

}  // namespace failing

#endif
