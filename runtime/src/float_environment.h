#pragma once

#if !defined(__x86_64__)
#include <cfenv>
#endif

namespace hnorm::detail {

// The default floating-point environment while it lives, on its thread: round to nearest, subnormal numbers as they are, no traps. What a
// caller, or who began a thread, left behind would change bits. Then the caller's again, as it was: what was raised meanwhile is
// forgotten, for kernels compute with lanes beyond the data, too. Out of line, so that no arithmetic is moved across.
class FloatEnvironment {
public:
    FloatEnvironment();
    ~FloatEnvironment();
    FloatEnvironment(const FloatEnvironment &) = delete;
    FloatEnvironment &operator=(const FloatEnvironment &) = delete;

private:
#if defined(__x86_64__)
    unsigned callers_;  // MXCSR; nothing here computes in x87's registers
#else
    std::fenv_t callers_;
#endif
};

}  // namespace hnorm::detail
