// Which target's kernels run here.
#pragma once

#include <hnorm/hnorm.h>

#include "kernels.h"

namespace hnorm::detail {

// The target in use. Fails, in words that begin with `function`, where HNORM_TARGET names none that runs here.
hnorm_status active_target(const char *function, const Target **target);

}  // namespace hnorm::detail
