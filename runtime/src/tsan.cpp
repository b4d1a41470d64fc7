// What LLVM's thread sanitizer, which Halide instruments kernels with, calls and GCC's does not
// have: of builds with that sanitizer alone. GCC's watches the C library's functions of the same
// names.
#include <cstddef>
#include <cstring>

extern "C" {
// NOLINTBEGIN(bugprone-reserved-identifier)
void *__tsan_memset(void *to, int value, size_t size) { return std::memset(to, value, size); }
void *__tsan_memcpy(void *to, const void *from, size_t size) { return std::memcpy(to, from, size); }
void *__tsan_memmove(void *to, const void *from, size_t size) { return std::memmove(to, from, size); }
// NOLINTEND(bugprone-reserved-identifier)
}
