// The device's kernels; null: the library was built without. A source of its own, since the tuner
// of the schedules has another in its place (tune/runner/on_device.cpp).
#pragma once

#include <hnorm/hnorm.h>

#include "device_kernels.h"

namespace hnorm::gpu {

const detail::DeviceKernels *find_kernels(hnorm_device device);

}  // namespace hnorm::gpu
