#include "residual_backward.h"

#include <cinttypes>
#include <memory>
#include <new>

#include "error.h"

namespace hnorm::detail {

namespace {

struct Dense {
    std::unique_ptr<char[]> memory;
    Planes planes;
};

hnorm_status allocate_like(const char *function, const Planes &p, Dense *dense) {
    dense->memory.reset(new (std::nothrow) char[static_cast<size_t>(p.elements() * p.element_size())]);
    if (!dense->memory) {
        return fail(HNORM_OUT_OF_MEMORY, "%s: no memory for a gradient of %" PRId64 " elements", function,
                    p.elements());
    }
    dense->planes = dense_like(p, dense->memory.get());
    return HNORM_OK;
}

}  // namespace

hnorm_status compute_residual_backward(const char *function, const Machine &machine, const Backward &b,
                                       BackwardWithout without, BackwardBlocks blocks) {
    BehindResidual behind(b);
    Backward &rest = behind.rest;
    if (!behind.gated && !behind.copied) {
        return without(function, machine, rest);
    }
    Dense dense;
    if (behind.dz) {
        rest.dy = *behind.dz;
    } else {
        HNORM_TRY(allocate_like(function, b.x, &dense));
        rest.dy = dense.planes;
    }
    if (blocks) {
        Backward gate = rest;
        gate.y = behind.gated ? b.y : nullptr;
        bool done = false;
        HNORM_TRY(blocks(function, machine, gate, b.dy, b.slope, &done));
        if (done) {
            return HNORM_OK;
        }
    }
    HNORM_TRY(compute_activation_backward(function, machine, behind.y, b.dy, b.slope, rest.dy));
    return without(function, machine, rest);
}

}  // namespace hnorm::detail
