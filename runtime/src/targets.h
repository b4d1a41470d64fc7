// Which target's kernels run here.
#pragma once

#include <hnorm/hnorm.h>

#include "kernels.h"

namespace hnorm::detail {

// Gives the target in use, and whether the program or HNORM_TARGET asked for it by name. Fails if
// HNORM_TARGET names a target that cannot run here. The error message begins with `function`.
hnorm_status active_target(const char *function, const Target **target, bool *is_forced);

// The first of the CPU features that this machine has not, in words ("CPU lacks avx2"), or null.
const char *lacking_feature(const char *const *features);

}  // namespace hnorm::detail
