// Working memory of a call on the CPU.
#pragma once

#include <hnorm/hnorm.h>

#include <cstdint>

#include "scratch_memory.h"

namespace hnorm::detail {

// A few values lie on the stack, so that small calls allocate nothing.
template <typename T>
class ScratchOf {
public:
    ScratchOf() = default;
    ~ScratchOf() { free_scratch(large_); }
    ScratchOf(const ScratchOf &) = delete;
    ScratchOf &operator=(const ScratchOf &) = delete;

    hnorm_status reserve(const char *function, int64_t count);
    T *data() { return large_ ? large_ : small_; }
    const T *data() const { return large_ ? large_ : small_; }

private:
    static constexpr int64_t kSmall = 1024 / sizeof(T);  // several lie on a caller's stack
    alignas(16) T small_[kSmall];
    T *large_ = nullptr;
};
using Scratch = ScratchOf<double>;

}  // namespace hnorm::detail
