// A device's driver, as far as hnorm asks it directly; kernels go through Halide's runtime, which
// asks hooks.cpp for memory.
#pragma once

#include <hnorm/hnorm.h>

#include <HalideRuntime.h>

#include <dlfcn.h>

#include <cstdint>
#include <mutex>
#include <tuple>

#include "error.h"

namespace hnorm::gpu {

// Where a thread's work goes. Memory that one place is done with may be used by its later work: a
// stream keeps its order.
struct Place {
    void *context, *stream;
    uint64_t thread;  // CUDA's stream of its own for every thread has one handle for all: the thread's number; else 0

    bool operator<(const Place &other) const {
        return std::tie(context, stream, thread) < std::tie(other.context, other.stream, other.thread);
    }
};

class Driver {
public:
    virtual ~Driver() = default;

    hnorm_device device() const { return device_; }
    virtual const halide_device_interface_t *interface() const = 0;

    // The calling thread's, once it has asked for the device.
    virtual Place place() const = 0;

    // Of the place's context. Messages begin with `function`.
    virtual hnorm_status allocate(const char *function, int64_t bytes, void **memory) = 0;
    virtual void release(void *context, void *memory) = 0;  // from any thread
    virtual hnorm_status copy_in(const char *function, void *to, const void *from, int64_t bytes) = 0;
    virtual hnorm_status copy_out(const char *function, void *to, const void *from, int64_t bytes) = 0;
    virtual hnorm_status copy(const char *function, void *to, const void *from, int64_t bytes) = 0;  // queued
    // Waits for what the stream has been given.
    virtual hnorm_status synchronize(const char *function) = 0;
    // Waits for what the context has been given, on OpenCL by the calling thread's queue: the
    // driver itself keeps memory until commands are done with it. From any thread.
    virtual hnorm_status finish(const char *function, void *context) = 0;
    virtual hnorm_status check_memory(const char *function, const char *name, const char *part, const void *memory,
                                      int64_t bytes) = 0;
    // Whether what the place is given is recorded for a graph, which replays it at any time.
    virtual hnorm_status is_capturing(const char *, bool *capturing) {
        *capturing = false;
        return HNORM_OK;
    }

    // Frees the kernels that Halide's runtime has compiled for the place's context, even where the
    // device has failed; then the thread has no place any more.
    virtual void leave() = 0;

protected:
    explicit Driver(hnorm_device device) : device_(device) {}

private:
    const hnorm_device device_;
};

// The one whose kernels have this interface.
Driver &driver_of(const halide_device_interface_t *interface);
// Null for the CPU, and for a device that no thread has asked for.
Driver *driver_of(hnorm_device device);

// Makes `driver` known, and its device that of the calling thread.
void use(Driver &driver);

// A library of the driver's: by its name with the version that programs run with, or the one for
// development.
void *open_library(const char *name);

// Looks a function up under the name that the library has for it.
template <typename Function>
bool find(void *library, const char *name, Function *function) {
    *function = reinterpret_cast<Function>(dlsym(library, name));
    return *function != nullptr;
}

// Opens a driver's library and calls prepare(library), until that has succeeded once. none: what
// there is no such library of.
template <typename Prepare>
hnorm_status open_once(const char *function, const char *name, const char *none, const Prepare &prepare) {
    static std::mutex mutex;
    static bool opened = false;  // by this caller: each has a type of its own for `prepare`
    const std::lock_guard<std::mutex> lock(mutex);
    if (opened) {
        return HNORM_OK;
    }
    void *const library = open_library(name);
    if (library == nullptr) {
        return detail::fail(HNORM_UNSUPPORTED, "%s: there is no %s: %s", function, none, dlerror());
    }
    HNORM_TRY(prepare(library));
    opened = true;
    return HNORM_OK;
}

}  // namespace hnorm::gpu
