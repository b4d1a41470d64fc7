#include "find_kernels.h"

#include <cstring>

namespace hnorm::gpu {

using namespace hnorm::detail;

const DeviceKernels *find_kernels(hnorm_device device) {
    constexpr const char *kNames[] = {"", "cuda", "opencl"};
    for (int i = 0; i < hnorm_devices_count; ++i) {
        if (std::strcmp(hnorm_devices[i].name, kNames[device]) == 0) {
            return &hnorm_devices[i];
        }
    }
    return nullptr;
}

}  // namespace hnorm::gpu
