// How kernels' parallel loops run: on hnorm's pool, the caller's pool, or the calling thread.
#pragma once

#include <hnorm/hnorm.h>

#include <cstdint>

namespace hnorm::detail {

// The threads that a call may use. Fails, in words that begin with `function`, where
// HNORM_NUM_THREADS makes no sense.
hnorm_status thread_count(const char *function, int *threads);

// Calls task(argument, i) for 0 <= i < count, on the threads that kernels' loops use. If tasks
// fail, the function fails with the error of the first one.
hnorm_status parallel_for(const char *function, int64_t count, hnorm_status (*task)(void *argument, int64_t index),
                          void *argument);

// The same with compute(i), whose own loops run on its thread only.
template <typename Compute>
hnorm_status parallel_for(const char *function, int64_t count, const Compute &compute);

// While a SerialScope(true) lives, parallel loops of the current thread run on this thread only.
class SerialScope {
public:
    explicit SerialScope(bool serial);
    ~SerialScope();
    SerialScope(const SerialScope &) = delete;
    SerialScope &operator=(const SerialScope &) = delete;

private:
    bool before_;
};

template <typename Compute>
hnorm_status parallel_for(const char *function, int64_t count, const Compute &compute) {
    return parallel_for(
        function, count,
        [](void *argument, int64_t i) {
            const SerialScope serial(true);
            return (*static_cast<const Compute *>(argument))(i);
        },
        const_cast<void *>(static_cast<const void *>(&compute)));
}

}  // namespace hnorm::detail
