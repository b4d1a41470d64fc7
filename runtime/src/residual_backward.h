// Backward with a residual (hnorm_post_ops_gradient). First it computes dz. Then it computes the
// gradients without an activation, with dz in the place of dy.
#pragma once

#include <memory>

#include "gradients.h"

namespace hnorm::detail {

// A Backward in two parts: dz, and the rest. Without a residual the rest is the whole.
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

    // Makes the rest work on floats. dz, which dx overwrites, and x, if there is one, lie in the
    // given memory, with one float for each element.
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

    const bool gated;   // There is an activation. Otherwise dz is dy.
    const bool copied;  // The caller wants dz in memory other than dy.
    // dz has floats, because elements would round it although the caller does not ask for it. x and
    // dx have floats too then.
    const bool wide;
    const Planes y;  // Has the sign of the activation, if there is one.
    // The place for dz. It may be dx, which the gradient later overwrites, but not if dx is x,
    // because x is still needed. Null: dz needs memory of its own.
    const Planes *const dz;
    Backward rest;  // The rest. Its dy is dz.

protected:
    const Backward given_;
    Planes dx_ = {};
};

// The same on the CPU.
class BehindResidualOnCpu : public BehindResidual {
public:
    using BehindResidual::BehindResidual;

    // Allocates memory for dz if no tensor of the call can hold it.
    hnorm_status reserve(const char *function);
    // Computes dz of some groups. If dz is dy, it does nothing.
    hnorm_status compute_dz(const char *function, const Machine &machine, const Range &range) const;
    // Writes dx of some groups, after the rest has computed it.
    void write_dx(const Range &range) const;

private:
    std::unique_ptr<char[]> memory_;
};

}  // namespace hnorm::detail
