#pragma once

#if !defined(__x86_64__)
#include <cfenv>
#endif

namespace hnorm::detail {

// Sets the default floating-point environment on its thread while it lives: rounding to nearest,
// subnormal numbers, no traps. Another environment, left by the caller or by the code that started
// the thread, would change bits. The destructor restores the caller's environment. It drops
// exceptions that were raised meanwhile, because kernels also compute with lanes beyond the data.
// The functions are out of line, so that compilers move no arithmetic across them.
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
