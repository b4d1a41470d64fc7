// Calls of a device's kernels.
#pragma once

#include "buffers.h"
#include "device.h"
#include "device_kernels.h"
#include "driver.h"
#include "error.h"
#include "memory.h"

namespace hnorm::gpu {

using namespace hnorm::detail;

// The device's table for libhnorm.
const Device &device_table(hnorm_device device);

void begin_launch();
// The status of a kernel that returned `code`, with what the driver said.
hnorm_status end_launch(const char *function, int code);

// One call of hnorm on a device: where it runs, and what it runs there.
struct Call {
    const char *function;
    Driver &driver;
    const DeviceKernels &kernels;
    Constants constants;
};
hnorm_status begin_call(const char *function, Driver &driver, const DeviceKernels **kernels, Constants *constants);

// A Halide buffer of buffers.h whose pointer is the device's.
template <typename Base>
class On : public Base {
public:
    template <typename... Arguments>
    explicit On(const Call &call, Arguments &&...arguments) : Base(std::forward<Arguments>(arguments)...) {
        halide_buffer_t *const buffer = *this;
        const auto memory = reinterpret_cast<uintptr_t>(buffer->host);
        buffer->host = nullptr;
        // Where this fails there is no memory for a handle, and the kernel refuses a buffer that is
        // nowhere.
        (void)halide_device_wrap_native(nullptr, buffer, memory, call.driver.interface());
    }
    ~On() { (void)halide_device_detach_native(nullptr, *this); }
};

// Kernels' `zero`.
constexpr int32_t kZero = 0;

template <typename Kernel, typename... Arguments>
hnorm_status launch(const Call &call, Kernel kernel, Arguments &&...arguments) {
    begin_launch();
    return end_launch(call.function, kernel(std::forward<Arguments>(arguments)...));
}

}  // namespace hnorm::gpu
