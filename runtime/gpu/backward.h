// Backward and normalize_backward (Device, device.h).
#pragma once

#include "compute.h"

namespace hnorm::gpu {

hnorm_status backward(const Call &call, const Backward &b, bool add);
hnorm_status normalize_backward(const Call &call, const Backward &b, bool add);

}  // namespace hnorm::gpu
