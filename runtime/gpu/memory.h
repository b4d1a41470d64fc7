// Working memory on devices: what a call is done with is kept for the next call in the same place,
// so that a steady state allocates nothing and waits for nothing (freeing CUDA's memory waits for
// the device).
#pragma once

#include <utility>

#include "driver.h"

namespace hnorm::gpu {

// At least as many bytes; given back with the same number, from the same place. Messages begin with
// `function`.
hnorm_status take(const char *function, Driver &driver, int64_t bytes, void **memory);
void give_back(Driver &driver, void *memory, int64_t bytes);

// What the calling thread's place has had and gets goes into a graph, too: only release_kept frees
// it.
hnorm_status keep_for_graphs(const char *function, Driver &driver);

// Frees what is kept for the context: what is unused, and constants.
void release_kept(Driver &driver, void *context);

// Working memory while it lives.
class Scratch {
public:
    explicit Scratch(Driver &driver) : driver_(driver) {}
    ~Scratch() { give(); }
    Scratch(const Scratch &) = delete;
    Scratch &operator=(const Scratch &) = delete;

    hnorm_status reserve(const char *function, int64_t bytes) {
        give();
        bytes_ = bytes;
        return take(function, driver_, bytes, &memory_);
    }
    template <typename T>
    T *as() const {
        return static_cast<T *>(memory_);
    }

private:
    void give() {
        if (memory_) give_back(driver_, std::exchange(memory_, nullptr), bytes_);
    }

    Driver &driver_;
    void *memory_ = nullptr;
    int64_t bytes_ = 0;
};

// Memory that outlives calls: it remembers its context.
hnorm_status allocate(const char *function, Driver &driver, int64_t bytes, void **memory);
void release(Driver &driver, void *memory);  // null is allowed
// False for memory that is not of `allocate`.
bool context_of(Driver &driver, void *memory, void **context);

// One value each, in the calling thread's context, for who does not give an array.
struct Constants {
    const float *one_float, *zero_float;
    const double *one, *zero;
};
hnorm_status constants(const char *function, Driver &driver, Constants *constants);

}  // namespace hnorm::gpu
