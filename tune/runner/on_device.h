// The table of a runner for a device, which the tuner writes.
#pragma once

#include <hnorm/hnorm.h>

#include <string>

#include "device_kernels.h"

namespace hnorm::tune {

extern const hnorm_device device;
extern const detail::DeviceKernels device_rows[];  // their names: "base", "candidate_1", ...
extern const int device_rows_count;

// The device that the calling thread has asked for: what its driver calls it, and whether it is
// this CPU.
struct DeviceName {
    std::string name;
    bool is_cpu;
};
DeviceName device_name();

}  // namespace hnorm::tune
