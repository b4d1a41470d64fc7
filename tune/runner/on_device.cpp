#include "on_device.h"

#include <stdexcept>

#include "../../bench/engine/on_device.h"
#include "../../bench/engine/place.h"
#include "find_kernels.h"

namespace hnorm::bench {
namespace {

int row_in_use = 0;

}  // namespace

Device device_in_use() {
    static const bool opened = [] {
        tune::device == HNORM_CUDA ? use_cuda() : use_opencl();
        return true;
    }();
    (void)opened;
    return static_cast<Device>(tune::device);
}

void use(const std::string &row) {
    for (int i = 0; i < tune::device_rows_count; i++)
        if (row == tune::device_rows[i].name) {
            row_in_use = i;
            return;
        }
    throw std::runtime_error("the table has no row '" + row + "'");
}

std::vector<std::string> table_rows() {
    std::vector<std::string> names;
    for (int i = 0; i < tune::device_rows_count; i++) names.push_back(tune::device_rows[i].name);
    return names;
}

std::string machine() {
    device_in_use();
    const tune::DeviceName found = tune::device_name();
    return "{\"device\": \"" + found.name + "\", \"is_cpu\": " + (found.is_cpu ? "true" : "false") + "}";
}

const detail::DeviceKernels &kernels_in_use() { return tune::device_rows[row_in_use]; }

}  // namespace hnorm::bench

namespace hnorm::gpu {

// In the place of runtime/gpu/find_kernels.cpp.
const detail::DeviceKernels *find_kernels(hnorm_device) { return &bench::kernels_in_use(); }

}  // namespace hnorm::gpu
