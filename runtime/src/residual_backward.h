// Backward behind a residual (hnorm_post_ops_gradient): dz first, then the gradients without an activation, from dz for dy.
#pragma once

#include "gradients.h"

namespace hnorm::detail {

// Such a Backward, taken apart.
struct BehindResidual {
    explicit BehindResidual(const Backward &b)
        : gated(b.slope != 1),
          copied(b.dresidual && b.dresidual->data != b.dy.data),
          y(gated ? *b.y : b.dy),
          dz(b.dresidual                      ? b.dresidual
             : b.dx && b.dx->data != b.x.data ? b.dx
                                              : nullptr),
          rest(b) {
        rest.slope = 1;
        rest.y = rest.dresidual = nullptr;
    }

    const bool gated;   // there is an activation: else dz is dy,
    const bool copied;  // which is wanted elsewhere
    const Planes &y;    // has the activation's sign, where there is one
    const Planes
        *const dz;  // where to write it; dx may hold it until what follows from it overwrites it, but not where it is
                    // x, which is still needed. Null: it needs memory of its own
    Backward rest;  // what is left then, once its dy is dz
};

using BackwardWithout = hnorm_status (*)(const char *function, const Machine &machine, const Backward &b);

// dz, from dy and b.y by the slope, into b.dy's memory, and the gradients from it, block by block. Where it cannot, it does
// nothing, and *done stays false.
using BackwardBlocks = hnorm_status (*)(const char *function, const Machine &machine, const Backward &b,
                                        const Planes &dy, float slope, bool *done);

// `without`: compute_backward or compute_normalize_backward, for what is left once dz is there. blocks: null for none.
hnorm_status compute_residual_backward(const char *function, const Machine &machine, const Backward &b,
                                       BackwardWithout without, BackwardBlocks blocks);

}  // namespace hnorm::detail
