#include "residual_backward.h"

#include <algorithm>
#include <atomic>
#include <cinttypes>
#include <memory>
#include <new>

#include "error.h"
#include "threads.h"

namespace hnorm::detail {

namespace {

// Elements of a tensor that a task takes at once, where groups are smaller: what it touches of five tensors stays in L2, and
// the cost of calling kernels does not show.
constexpr int64_t kElementsPerTask = 16384;

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

// Blocks of whole groups, one a task: dz, and the gradients from it while it is in cache.
class Blocks {
public:
    // b.dy is dz's place already, dy where it comes from.
    Blocks(const char *function, const Machine &machine, const Backward &b, const Planes &dy, float slope,
           GradientSums &sums)
        : function_(function), machine_(machine), b_(b), dy_(dy), slope_(slope), sums_(sums) {
        const int64_t of_channel = b.x.s * (b.group == HNORM_BATCH ? b.x.n : 1);
        const int64_t together = machine.kernels->groups_per_task[plane_class(b.x.s)];
        const int64_t blocks = std::max<int64_t>(kElementsPerTask / (of_channel * together), 1);
        channels_ = std::min(blocks * together, b.x.c);
        per_sample_ = (b.x.c + channels_ - 1) / channels_;
        tasks_ = per_sample_ * (b.group == HNORM_BATCH ? 1 : b.x.n);
    }

    hnorm_status run() {
        const SerialScope serial(runs_serially(machine_, b_.x));
        return parallel_for(
            function_, tasks_, [](void *self, int64_t i) { return static_cast<Blocks *>(self)->task(i); }, this);
    }

private:
    hnorm_status task(int64_t i) {
        const int64_t first = i % per_sample_ * channels_;
        Range range = {0, b_.x.n, first, std::min(first + channels_, b_.x.c)};
        if (b_.group == HNORM_INSTANCE) {
            range.n_begin = i / per_sample_;
            range.n_end = range.n_begin + 1;
        }
        const Planes &y = b_.y ? *b_.y : dy_;
        HNORM_TRY(compute_activation_backward(function_, machine_, cropped(y, range), cropped(dy_, range), slope_,
                                              cropped(b_.dy, range)));
        return compute_fused(function_, machine_, b_, range, sums_);
    }

    const char *const function_;
    const Machine &machine_;
    const Backward &b_;
    const Planes &dy_;
    const float slope_;
    GradientSums &sums_;
    int64_t channels_, per_sample_, tasks_;
};

}  // namespace

hnorm_status compute_residual_backward(const char *function, const Machine &machine, const Backward &b,
                                       BackwardWithout without) {
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
    if (without == compute_backward && fuses(machine, rest)) {
        GradientSums sums(rest);
        HNORM_TRY(sums.reserve(function));
        Backward blocks = rest;
        blocks.y = gated ? b.y : nullptr;
        HNORM_TRY(Blocks(function, machine, blocks, b.dy, b.slope, sums).run());
        sums.write_parameter_gradients();
        return HNORM_OK;
    }
    HNORM_TRY(compute_activation_backward(function, machine, gated ? *b.y : b.dy, b.dy, b.slope, rest.dy));
    return without(function, machine, rest);
}

}  // namespace hnorm::detail
