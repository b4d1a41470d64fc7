// The interface to devices: a table of functions for each device. The library hnorm_gpu
// (runtime/gpu) has these tables, and gives one to a thread that asks for the device (gpu.h).
// Nothing here refers to that library or to a driver.
#pragma once

#include "tensor.h"

namespace hnorm::detail {

struct ActivationBackward;
struct Backward;
struct BackwardApply;
struct BackwardReduce;
struct Forward;
struct Moments;
struct Normalize;
struct NormalizeFloats;
struct Track;

// Memory that outlives calls. Copies wait for the device; fills and operations do not.
struct Storage {
    hnorm_status (*allocate)(const char *function, int64_t bytes, void **memory);
    void (*release)(void *memory);  // null is allowed; from any thread
    hnorm_status (*copy_in)(const char *function, void *to, const void *from, int64_t bytes);
    hnorm_status (*copy_out)(const char *function, void *to, const void *from, int64_t bytes);
    hnorm_status (*fill_floats)(const char *function, float *values, int64_t count, float value);
    hnorm_status (*fill_doubles)(const char *function, double *values, int64_t count, double value);
};

// Arguments are validated. All pointers are pointers of the device, also those in CheckedTensor and
// values. An absent gamma or beta is null. Functions that compute queue their work and return. They
// do not wait for the device, and they copy nothing from it.
struct Device {
    Storage storage;

    // The operations of forward.h and backward.h.
    template <typename Arguments>
    using Operation = hnorm_status (*)(const char *function, const Arguments &arguments);
    Operation<Moments> moments;
    Operation<Forward> forward;
    Operation<Normalize> normalize;
    Operation<NormalizeFloats> normalize_floats;
    Operation<Backward> backward, normalize_backward;
    Operation<BackwardReduce> backward_reduce;
    Operation<BackwardApply> backward_apply;
    Operation<ActivationBackward> activation_backward;
    Operation<Track> track;

    // Fails if the memory is not the device's or has fewer bytes, as far as the driver can tell.
    // Messages call it `name` and then `part`.
    hnorm_status (*check_memory)(const char *function, const char *name, const char *part, const void *memory,
                                 int64_t bytes);
};

const char *device_name(hnorm_device device);  // "HNORM_CUDA"

// The table of the calling thread, once it has asked for the device; null for the CPU and until
// then.
const Device *device_of_thread(hnorm_device device);
// The storage of that device, or of the CPU.
const Storage &storage_of_thread(hnorm_device device);
extern const Storage kCpuStorage;
void set_device_of_thread(hnorm_device device, const Device *table);

// Fails unless the device exists and the calling thread has asked for it. `name`: the tensor or
// layer that lies there.
hnorm_status check_device(const char *function, const char *name, hnorm_device device);
// Calls Device::check_memory, if there is a device and memory is not null.
hnorm_status check_memory_of_device(const char *function, const char *name, const char *part, hnorm_device device,
                                    const void *memory, int64_t bytes);
inline hnorm_status check_device_memory(const char *function, const char *name, const char *part, hnorm_device device,
                                        const void *memory, int64_t bytes) {
    return device == HNORM_CPU ? HNORM_OK : check_memory_of_device(function, name, part, device, memory, bytes);
}

}  // namespace hnorm::detail
