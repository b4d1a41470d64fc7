#include "on_device.h"

#include <stdexcept>

#include "device_arrays.h"
#include "find_kernels.h"
#include "place.h"

namespace hnorm::tune {
namespace {

int row_in_use = 0;
DeviceArrays *arrays = nullptr;  // for good: when the process ends, the driver may be gone before

void open() {
    static const bool opened = [] {
        device == HNORM_CUDA ? use_cuda() : use_opencl();
        return true;
    }();
    (void)opened;
}

// What a call must read and write at least, in tensors.
int tensors_moved(const Case &c) {
    const bool add = c.op.find("_add") != std::string::npos;
    if (c.op == "moments") return 1;
    if (c.op == "backward_reduce") return 2;
    if (c.op.rfind("backward", 0) == 0) return add ? 5 : 3;
    return add ? 3 : 2;
}

}  // namespace

void use(const std::string &row) {
    for (int i = 0; i < device_rows_count; i++)
        if (row == device_rows[i].name) {
            row_in_use = i;
            return;
        }
    throw std::runtime_error("the table has no row '" + row + "'");
}

std::vector<std::string> table_rows() {
    std::vector<std::string> names;
    for (int i = 0; i < device_rows_count; i++) names.push_back(device_rows[i].name);
    return names;
}

std::string machine() {
    open();
    const DeviceName found = device_name();
    return "{\"device\": \"" + found.name + "\", \"is_cpu\": " + (found.is_cpu ? "true" : "false") + "}";
}

std::vector<int> thread_counts() { return {1}; }
double least_timing() { return 2e-3; }

void place(Calls &calls) {
    open();
    arrays = new DeviceArrays(calls, static_cast<Device>(device));
}
void send() { arrays->send(); }
void fetch() { arrays->fetch(); }
void wait() { synchronize(static_cast<Device>(device)); }

std::function<void()> floor_of(Calls &, const Case &c) {
    return arrays->copies(c, c.tensor_bytes() * tensors_moved(c));
}

}  // namespace hnorm::tune

namespace hnorm::gpu {

// In the place of runtime/gpu/find_kernels.cpp.
const detail::DeviceKernels *find_kernels(hnorm_device) { return &tune::device_rows[tune::row_in_use]; }

}  // namespace hnorm::gpu
