// How kernels' parallel loops run: Halide's pool, the caller's pool, or the calling thread.
#pragma once

#include <hnorm/hnorm.h>

namespace hnorm::detail {

// The threads that a call may use. Fails, in words that begin with `function`, where HNORM_NUM_THREADS makes no sense.
// The first call installs hnorm's hooks in Halide's runtime.
hnorm_status thread_count(const char *function, int *threads);

// While one lives, parallel loops of the current thread run on it alone.
class SerialScope {
public:
    explicit SerialScope(bool serial);
    ~SerialScope();
    SerialScope(const SerialScope &) = delete;
    SerialScope &operator=(const SerialScope &) = delete;

private:
    bool before_;
};

}  // namespace hnorm::detail
