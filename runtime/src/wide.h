// Loops over groups in double, with wider vectors if the CPU has them. Their divisions and roots
// took a third of the time of instance norm at 7x7.
#pragma once

#include <cstdint>

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

// Calls body, a lambda that is HNORM_INLINED, compiled for the vectors of this CPU, and returns its
// result. The bits are the same, because nothing is contracted.
template <typename Body>
auto wide(const Body &body) {
#if defined(__x86_64__) && defined(__GNUC__)
    if (__builtin_cpu_supports("avx2")) {
        return with_avx2(body);
    }
#endif
    return body();
}

// Whether holds(g), a lambda that is HNORM_INLINED, is true for all 0 <= g < count. It is called
// for all of them, whatever it returns.
template <typename Holds>
bool holds_for_all(int64_t count, const Holds &holds) {
    return wide([&]() HNORM_INLINED {
        int all = 1;  // without a branch, for vectors
        for (int64_t g = 0; g < count; ++g) {
            all &= static_cast<int>(holds(g));
        }
        return all != 0;
    });
}

}  // namespace hnorm::detail
