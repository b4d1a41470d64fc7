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
    ~ScratchOf() { free_large(); }
    ScratchOf(const ScratchOf &) = delete;
    ScratchOf &operator=(const ScratchOf &) = delete;

    hnorm_status reserve(const char *function, int64_t count) {
        free_large();
        return count <= kSmall ? HNORM_OK : reserve_large(function, count);
    }
    T *data() { return large_ ? large_ : small_; }
    const T *data() const { return large_ ? large_ : small_; }

private:
    void free_large() {
        if (large_) {
            free_scratch(large_);
            large_ = nullptr;
        }
    }
    hnorm_status reserve_large(const char *function, int64_t count);

    static constexpr int64_t kSmall = 1024 / sizeof(T);  // several lie on a caller's stack
    alignas(16) T small_[kSmall];
    T *large_ = nullptr;
};
using Scratch = ScratchOf<double>;

}  // namespace hnorm::detail
