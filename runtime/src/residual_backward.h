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
          wide(gated && !b.dresidual && b.slope != 0 && b.dy.type != HNORM_F32),
          y(gated ? *b.y : b.dy),
          dz(b.dresidual                               ? b.dresidual
             : !wide && b.dx && b.dx->data != b.x.data ? b.dx
                                                       : nullptr),
          rest(b),
          given_(b) {
        if (b.has_residual()) {
            rest.slope = 1;
            rest.y = rest.dresidual = nullptr;
        }
    }

    // The rest as it is of floats: dz, which dx overwrites, and x, where there is one, in memory for so many floats each.
    void widen(void *of_dz, void *of_x) {
        const auto floats = [](const Planes &like, void *memory) {
            Planes planes = dense_like(like, memory);
            planes.type = HNORM_F32;
            return planes;
        };
        rest.dy = dx_ = floats(given_.dy, of_dz);
        rest.x = floats(given_.x, of_x);
        rest.dx = given_.dx ? &dx_ : nullptr;
    }

    const bool gated;   // there is an activation: else dz is dy,
    const bool copied;  // which is wanted elsewhere
    // dz is of floats, for elements would round it, though nobody asked for it; so are x and dx then.
    const bool wide;
    const Planes y;  // has the activation's sign, where there is one
    // Where to write dz; dx may hold it until what follows from it overwrites it, but not where it is x, which is still needed.
    // Null: it needs memory of its own
    const Planes *const dz;
    Backward rest;  // what is left then, once its dy is dz

protected:
    const Backward given_;
    Planes dx_ = {};
};

// The same on the CPU.
class BehindResidualOnCpu : public BehindResidual {
public:
    using BehindResidual::BehindResidual;

    // Memory for dz, where none of the call's serves.
    hnorm_status reserve(const char *function);
    // dz of some groups. Where dy is the same nothing is done.
    hnorm_status compute_dz(const char *function, const Machine &machine, const Range &range) const;
    // dx of some groups, once the rest has it.
    void write_dx(const Range &range) const;

private:
    std::unique_ptr<char[]> memory_;
};

}  // namespace hnorm::detail
