#include "float_environment.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace hnorm::detail {

#if defined(__x86_64__)

// Writing the register takes longer than reading it, and most callers have the default.
FloatEnvironment::FloatEnvironment() : callers_(_mm_getcsr()) {
    constexpr unsigned kDefault = 0x1f80, kExceptions = 0x3f;
    if ((callers_ & ~kExceptions) != kDefault) {
        _mm_setcsr(kDefault);
    }
}
FloatEnvironment::~FloatEnvironment() {
    if (_mm_getcsr() != callers_) {
        _mm_setcsr(callers_);
    }
}

#else

FloatEnvironment::FloatEnvironment() {
    std::fegetenv(&callers_);
    std::fesetenv(FE_DFL_ENV);
}
FloatEnvironment::~FloatEnvironment() { std::fesetenv(&callers_); }

#endif

}  // namespace hnorm::detail
