// Loops over groups, whose values are doubles, with wider vectors where the CPU has them. Divisions and roots of these took a third of
// instance norm's time at 7x7.
#pragma once

#if defined(__x86_64__) && defined(__GNUC__)
#define HNORM_INLINED __attribute__((always_inline))
#else
#define HNORM_INLINED
#endif

namespace hnorm::detail {

#if defined(__x86_64__) && defined(__GNUC__)
template <typename Body>
__attribute__((target("avx2"))) auto with_avx2(const Body &body) {
    return body();
}
#endif

// What body gives, a lambda that is HNORM_INLINED, compiled for what the CPU has. Bits are the same: nothing is contracted.
template <typename Body>
auto wide(const Body &body) {
#if defined(__x86_64__) && defined(__GNUC__)
    if (__builtin_cpu_supports("avx2")) {
        return with_avx2(body);
    }
#endif
    return body();
}

}  // namespace hnorm::detail
