// How the kernels run on GPUs, CUDA's and OpenCL's: schedule templates, whose knobs get their values from schedules/cuda.json
// and schedules/opencl.json. Nothing here can change a bit of a result.
//
// A reduction is two programs of the device, of which the second merges the first one's chunks. Blocks of the device (OpenCL's
// work-groups) lie along one axis: of the second and third a device takes 65535 only.
#pragma once

#include "../generators/chunks.h"
#include "gpu_knobs.h"

namespace hnorm {

namespace gpu {

constexpr auto kTail = TailStrategy::GuardWithIf;  // no element may be stored twice, in place

// All of a Func's loops over blocks, as one. Returns it.
inline Var blocks(Func f, std::vector<Var> loops) {
    Var all("blocks");
    for (size_t i = 1; i < loops.size(); i++) {
        f.fuse(loops[0], loops[i], all);
        loops[0] = all;
    }
    f.gpu_blocks(loops[0]);
    return loops[0];
}

// A value a group: a thread each. Returns the loop over blocks.
inline Var for_groups(Func f, const Axes &v) {
    Var block("block");
    f.compute_root().split(v.g0, block, v.g0, 64, kTail).gpu_threads(v.g0);
    return blocks(f, {block, v.g1});
}

// A loop over blocks along a grid's second or third axis, of which CUDA takes 65535: more are further launches. The last one
// is moved back, and computes some values once more.
inline Var limited(Func f, const Var &loop, const Expr &extent) {
    Var far(loop.name() + "_far");
    f.split(loop, far, loop, min(extent, 32768), TailStrategy::ShiftInwards);
    return far;
}

inline void reduce(Reduction &, const GpuKnobs &) {}
inline void sample(Sample &, Func, const GpuKnobs &) {}

// The pointwise part alone.
inline void apply(Planes planes, const Axes &v, Func y, const GpuKnobs &knobs) {
    // A thread's elements are apart, so that neighbouring threads load neighbouring elements: along the plane or, channels-last,
    // from position to position of a channel, whose coefficients serve them all.
    const bool last = channels_last(planes);
    const Var adjacent = last ? v.g0 : v.s, across = last ? v.s : v.g0;
    Var tile("tile"), step("step"), thread("thread"), row("row"), rows("rows");
    const int threads = knobs.store_threads, side_by_side = knobs.store_rows, steps = knobs.store_steps;
    y.split(adjacent, tile, thread, last ? threads : threads * steps, kTail);
    y.split(across, rows, row, last ? side_by_side * steps : side_by_side, kTail);
    if (last) {
        y.split(row, step, row, side_by_side, kTail);
    } else {
        y.split(thread, step, thread, threads, kTail);
    }
    y.reorder(step, thread, row, tile, rows, v.r, v.g1).unroll(step).gpu_threads(thread, row);
    blocks(y, {tile, rows, v.r, v.g1});
}

}  // namespace gpu
}  // namespace hnorm
