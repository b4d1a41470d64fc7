// Backward behind a residual (hnorm_post_ops_gradient): dz first, then the gradients without an activation, from dz for dy.
#pragma once

#include <memory>

#include "gradients.h"

namespace hnorm::detail {

// A Backward, taken apart; without a residual nothing changes.
struct BehindResidual {
    explicit BehindResidual(const Backward &b)
        : gated(b.has_residual() && b.slope != 1),
          copied(b.dresidual && b.dresidual->data != b.dy.data),
          y(gated ? *b.y : b.dy),
          dz(b.dresidual                      ? b.dresidual
             : b.dx && b.dx->data != b.x.data ? b.dx
                                              : nullptr),
          rest(b),
          dy_(b.dy),
          slope_(b.slope) {
        if (b.has_residual()) {
            rest.slope = 1;
            rest.y = rest.dresidual = nullptr;
        }
    }

    // Memory for dz, where none of the call's serves.
    hnorm_status reserve(const char *function);
    // dz of some groups. Where dy is the same nothing is done.
    hnorm_status compute_dz(const char *function, const Machine &machine, const Range &range) const;

    const bool gated;   // there is an activation: else dz is dy,
    const bool copied;  // which is wanted elsewhere
    const Planes y;     // has the activation's sign, where there is one
    // Where to write dz; dx may hold it until what follows from it overwrites it, but not where it is x, which is still needed.
    // Null: it needs memory of its own
    const Planes *const dz;
    Backward rest;  // what is left then, once its dy is dz

private:
    const Planes dy_;
    const float slope_;
    std::unique_ptr<char[]> memory_;
};

}  // namespace hnorm::detail
