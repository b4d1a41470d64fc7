// Floating-point environments that callers leave behind.
#pragma once

#include <cfenv>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace test {

struct Environment {
    const char *name;
    void (*enter)();
};

inline const Environment kEnvironments[] = {
    {"round down", [] { std::fesetround(FE_DOWNWARD); }},
    {"round up", [] { std::fesetround(FE_UPWARD); }},
    {"round to zero", [] { std::fesetround(FE_TOWARDZERO); }},
#if defined(__x86_64__)
    {"flush subnormal numbers to zero, and take them for it", [] { _mm_setcsr(_mm_getcsr() | 0x8040); }},
    {"trap on invalid, zero, overflow", [] { feenableexcept(FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW); }},
#endif
};

// Of the calling thread, without what was raised.
inline unsigned control_word() {
#if defined(__x86_64__)
    return _mm_getcsr() & ~0x3fu;
#else
    return static_cast<unsigned>(std::fegetround());
#endif
}

// The result of call() in the environment; then the default one again. kept: whether the call left
// it as it was.
template <typename Call>
auto in_environment(const Environment &environment, bool *kept, const Call &call) {
    environment.enter();
    const unsigned before = control_word();
    const auto result = call();
    *kept = control_word() == before;
    std::fesetenv(FE_DFL_ENV);
    return result;
}

}  // namespace test
