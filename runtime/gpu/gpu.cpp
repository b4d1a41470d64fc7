// The functions of gpu.h that are the same for all devices.
#include <hnorm/gpu.h>

#include "device.h"
#include "driver.h"
#include "error.h"
#include "memory.h"

using namespace hnorm::detail;
using namespace hnorm::gpu;

namespace {

// A device that the calling thread has asked for.
hnorm_status find_driver(const char *function, hnorm_device device, Driver **driver) {
    if (static_cast<int>(device) == HNORM_CPU) {
        return fail(HNORM_INVALID_ARGUMENT, "%s: device is HNORM_CPU: it must be HNORM_CUDA or HNORM_OPENCL", function);
    }
    HNORM_TRY(check_device(function, "device", device));
    *driver = driver_of(device);
    return HNORM_OK;
}

hnorm_status check_size(const char *function, size_t bytes) {
    return bytes <= PTRDIFF_MAX ? HNORM_OK
                                : fail(HNORM_OUT_OF_MEMORY, "%s: bytes is %zu: no device has as many", function, bytes);
}

// A copy between `device_memory` and `memory`, which messages name.
hnorm_status check_copy(const char *function, hnorm_device device, Driver **driver, const char *device_name,
                        const void *device_memory, const char *name, const void *memory, size_t bytes) {
    HNORM_TRY(find_driver(function, device, driver));
    HNORM_TRY(check_size(function, bytes));
    if (bytes != 0 && (device_memory == nullptr || memory == nullptr)) {
        return fail(HNORM_INVALID_ARGUMENT, "%s: %s is null: it must hold %zu bytes", function,
                    device_memory ? name : device_name, bytes);
    }
    return check_device_memory(function, device_name, "", device, device_memory, static_cast<int64_t>(bytes));
}

// Freeing waits for the device. Where it has failed it does not say what it captures, and all is
// freed.
hnorm_status check_freeing(const char *function, Driver &driver) {
    bool capturing = false;
    if (driver.is_capturing(function, &capturing) == HNORM_OK && capturing) {
        return fail(HNORM_UNSUPPORTED,
                    "%s: the stream is captured for a CUDA graph, where nothing can be freed: do this before or after "
                    "the capture",
                    function);
    }
    return HNORM_OK;
}

}  // namespace

extern "C" {

hnorm_status hnorm_device_allocate(hnorm_device device, size_t bytes, void **memory) {
    const char *const function = "hnorm_device_allocate";
    Driver *driver = nullptr;
    HNORM_TRY(find_driver(function, device, &driver));
    HNORM_TRY(check_size(function, bytes));
    if (memory == nullptr) {
        return fail(HNORM_INVALID_ARGUMENT, "%s: memory is null: it must point to where the pointer goes", function);
    }
    return allocate(function, *driver, static_cast<int64_t>(bytes), memory);
}

hnorm_status hnorm_device_free(hnorm_device device, void *memory) {
    const char *const function = "hnorm_device_free";
    // The thread need not have asked for the device: the memory's context is known.
    const bool any = device == HNORM_CUDA || device == HNORM_OPENCL;
    Driver *driver = any ? driver_of(device) : nullptr;
    if (driver == nullptr) {
        return find_driver(function, device, &driver);  // which says why not
    }
    if (memory == nullptr) {
        return HNORM_OK;
    }
    void *context = nullptr;
    if (!context_of(*driver, memory, &context)) {
        return fail(HNORM_INVALID_ARGUMENT,
                    "%s: memory is %p: it must be what hnorm_device_allocate gave, and not be freed already", function,
                    memory);
    }
    HNORM_TRY(check_freeing(function, *driver));
    const hnorm_status status = driver->finish(function, context);
    release(*driver, memory);
    return status;
}

hnorm_status hnorm_device_copy_in(hnorm_device device, void *to, const void *from, size_t bytes) {
    const char *const function = "hnorm_device_copy_in";
    Driver *driver = nullptr;
    HNORM_TRY(check_copy(function, device, &driver, "to", to, "from", from, bytes));
    return bytes == 0 ? HNORM_OK : driver->copy_in(function, to, from, static_cast<int64_t>(bytes));
}

hnorm_status hnorm_device_copy_out(hnorm_device device, void *to, const void *from, size_t bytes) {
    const char *const function = "hnorm_device_copy_out";
    Driver *driver = nullptr;
    HNORM_TRY(check_copy(function, device, &driver, "from", from, "to", to, bytes));
    return bytes == 0 ? HNORM_OK : driver->copy_out(function, to, from, static_cast<int64_t>(bytes));
}

hnorm_status hnorm_device_copy(hnorm_device device, void *to, const void *from, size_t bytes) {
    const char *const function = "hnorm_device_copy";
    Driver *driver = nullptr;
    HNORM_TRY(check_copy(function, device, &driver, "to", to, "from", from, bytes));
    HNORM_TRY(check_device_memory(function, "from", "", device, from, static_cast<int64_t>(bytes)));
    return bytes == 0 ? HNORM_OK : driver->copy(function, to, from, static_cast<int64_t>(bytes));
}

hnorm_status hnorm_device_synchronize(hnorm_device device) {
    const char *const function = "hnorm_device_synchronize";
    Driver *driver = nullptr;
    HNORM_TRY(find_driver(function, device, &driver));
    return driver->synchronize(function);
}

hnorm_status hnorm_device_release(hnorm_device device) {
    const char *const function = "hnorm_device_release";
    Driver *driver = nullptr;
    HNORM_TRY(find_driver(function, device, &driver));
    HNORM_TRY(check_freeing(function, *driver));
    void *const context = driver->place().context;
    const hnorm_status status = driver->finish(function, context);  // what it kept is of no use after a failure, too
    release_kept(*driver, context);
    driver->leave();
    set_device_of_thread(device, nullptr);
    return status;
}

}  // extern "C"
