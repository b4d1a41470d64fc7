#include "device.h"

#include <algorithm>
#include <cinttypes>
#include <cstring>
#include <new>

#include "error.h"

namespace hnorm::detail {

namespace {

constexpr int kDevices = 3;
thread_local const Device *tables[kDevices] = {};

bool exists(hnorm_device device) {
    const int value = static_cast<int>(device);
    return value >= 0 && value < kDevices;
}

hnorm_status allocate(const char *function, int64_t bytes, void **memory) {
    *memory = ::operator new(static_cast<size_t>(bytes), std::nothrow);
    return *memory ? HNORM_OK
                   : fail(HNORM_OUT_OF_MEMORY, "%s: no memory for %" PRId64 " bytes a layer keeps", function, bytes);
}
void release(void *memory) { ::operator delete(memory); }
hnorm_status copy(const char *, void *to, const void *from, int64_t bytes) {
    std::memcpy(to, from, static_cast<size_t>(bytes));
    return HNORM_OK;
}
template <typename T>
hnorm_status fill(const char *, T *values, int64_t count, T value) {
    std::fill_n(values, count, value);
    return HNORM_OK;
}

}  // namespace

const Storage kCpuStorage = {allocate, release, copy, copy, fill<float>, fill<double>};

const char *device_name(hnorm_device device) {
    return device == HNORM_CPU ? "HNORM_CPU" : device == HNORM_CUDA ? "HNORM_CUDA" : "HNORM_OPENCL";
}

const Device *device_of_thread(hnorm_device device) { return exists(device) ? tables[device] : nullptr; }

const Storage &storage_of_thread(hnorm_device device) {
    const Device *const table = device_of_thread(device);
    return table ? table->storage : kCpuStorage;
}

void set_device_of_thread(hnorm_device device, const Device *table) { tables[device] = table; }

hnorm_status check_device(const char *function, const char *name, hnorm_device device) {
    if (!exists(device)) {
        return fail(HNORM_UNSUPPORTED,
                    "%s: %s.device is %d: there are HNORM_CPU (0), HNORM_CUDA (1) and HNORM_OPENCL (2)", function, name,
                    static_cast<int>(device));
    }
    if (device != HNORM_CPU && tables[device] == nullptr) {
        return fail(
            HNORM_UNSUPPORTED,
            "%s: %s.device is %s: the calling thread must call %s first (hnorm/gpu.h, of the library hnorm_gpu)",
            function, name, device_name(device), device == HNORM_CUDA ? "hnorm_use_cuda" : "hnorm_use_opencl");
    }
    return HNORM_OK;
}

hnorm_status check_memory_of_device(const char *function, const char *name, const char *part, hnorm_device device,
                                    const void *memory, int64_t bytes) {
    const Device *const table = device_of_thread(device);
    return table == nullptr || memory == nullptr || bytes == 0
               ? HNORM_OK
               : table->check_memory(function, name, part, memory, bytes);
}

}  // namespace hnorm::detail
