// Backward behind a residual (hnorm_post_ops_gradient): dz first, then the gradients without an activation, from dz for dy.
#pragma once

#include "gradients.h"

namespace hnorm::detail {

using BackwardWithout = hnorm_status (*)(const char *function, const Machine &machine, const Backward &b);

// `without`: compute_backward or compute_normalize_backward, for what is left once dz is there.
hnorm_status compute_residual_backward(const char *function, const Machine &machine, const Backward &b,
                                       BackwardWithout without);

}  // namespace hnorm::detail
