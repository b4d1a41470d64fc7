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
    dense->planes = p;
    dense->planes.data = dense->memory.get();
    const bool first = p.layout == Layout::kChannelsFirst;
    dense->planes.stride_n = p.n > 1 ? p.c * p.s : 0;
    dense->planes.stride_c = p.c == 1 ? 0 : first ? p.s : 1;
    dense->planes.stride_s = first ? 1 : p.c;
    return HNORM_OK;
}

}  // namespace

hnorm_status compute_residual_backward(const char *function, const Machine &machine, const Backward &b,
                                       BackwardWithout without, BackwardBlocks blocks) {
    // Where there is no activation, dz is dy.
    const bool gated = b.slope != 1, copied = b.dresidual && b.dresidual->data != b.dy.data;
    Backward rest = b;
    rest.slope = 1;
    rest.y = rest.dresidual = nullptr;
    if (!gated && !copied) {
        return without(function, machine, rest);
    }
    // dx may hold dz until it is overwritten by what follows from it, but not where it is x, which is still needed.
    Dense dense;
    if (b.dresidual) {
        rest.dy = *b.dresidual;
    } else if (b.dx && b.dx->data != b.x.data) {
        rest.dy = *b.dx;
    } else {
        HNORM_TRY(allocate_like(function, b.x, &dense));
        rest.dy = dense.planes;
    }
    if (blocks) {
        Backward gate = rest;
        gate.y = gated ? b.y : nullptr;
        bool done = false;
        HNORM_TRY(blocks(function, machine, gate, b.dy, b.slope, &done));
        if (done) {
            return HNORM_OK;
        }
    }
    HNORM_TRY(compute_activation_backward(function, machine, gated ? *b.y : b.dy, b.dy, b.slope, rest.dy));
    return without(function, machine, rest);
}

}  // namespace hnorm::detail
