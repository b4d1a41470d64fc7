// Which compiled kernel set runs here.
#pragma once

#include <hnorm/hnorm.h>

#include "kernels.h"

namespace hnorm::detail {

// The target in use. Fails, in words that begin with `function`, where HNORM_TARGET names none that runs here.
hnorm_status active_kernels(const char *function, const TargetKernels **kernels);

}  // namespace hnorm::detail
