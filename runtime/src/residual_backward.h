// Backward behind a residual (hnorm_post_ops_gradient): dz first, then the gradients without an activation, from dz for dy.
#pragma once

#include "gradients.h"

namespace hnorm::detail {

using BackwardWithout = hnorm_status (*)(const char *function, const Machine &machine, const Backward &b);

// dz, from dy and b.y by the slope, into b.dy's memory, and the gradients from it, block by block. Where it cannot, it does
// nothing, and *done stays false.
using BackwardBlocks = hnorm_status (*)(const char *function, const Machine &machine, const Backward &b,
                                        const Planes &dy, float slope, bool *done);

// `without`: compute_backward or compute_normalize_backward, for what is left once dz is there. blocks: null for none.
hnorm_status compute_residual_backward(const char *function, const Machine &machine, const Backward &b,
                                       BackwardWithout without, BackwardBlocks blocks);

}  // namespace hnorm::detail
