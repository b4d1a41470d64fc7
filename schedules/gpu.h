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

// A step's loads stand before its additions, where there are steps (Steps, chunks.h).
inline void in_steps(LaneSum &sum, const GpuKnobs &knobs) {
    Stage rows = sum.lanes.update(0);
    if (knobs.load_pairs > 1) {
        rows.unroll(sum.rows.x);
    } else {
        rows.unscheduled();
    }
    sum.lanes.update(1).unscheduled();
}

// Tiny planes have one lane: a thread a chunk.
inline void chunks_of_threads(Reduction &d, LoopLevel thread, const GpuKnobs &knobs) {
    const auto in_register = [&](LaneSum &sum) { sum.lanes.compute_at(thread).bound(d.v.l, 0, 1); };
    for (LaneSum &sum : d.sums) {
        in_register(sum);
        in_steps(sum, knobs);
    }
    in_register(d.redone);
    for (Func f : d.of_chunk) f.compute_at(thread);
    d.in_double.compute_at(thread);
}

// A thread a lane, whose sum is in a register; sums of lanes meet in the block's shared memory. Neighbouring threads have
// neighbouring elements: those of a channel's lanes or, channels-last, those of a lane's channels. With four lanes a thread
// there, the kernels for 16-bit elements needed more registers than they get.
inline void chunks_of_blocks(Reduction &d, LoopLevel block, const GpuKnobs &knobs) {
    const Axes &v = d.v;
    const int groups = knobs.chunk_groups;
    const bool last = channels_last(d.planes);
    const auto across_threads = [&](LaneSum &sum, LoopLevel where) {
        int width = lanes_of(d.planes);
        const auto shared = [&](Func f) {
            f.compute_at(where).bound(v.l, 0, width).bound_storage(v.g0, groups);
            if (last) {
                f.reorder_storage(v.g0, v.l, v.k, v.m, v.g1).reorder(v.g0, v.l).gpu_threads(v.g0, v.l);
            } else {
                f.gpu_threads(v.l, v.g0);
            }
        };
        Func lanes = sum.lanes.in();
        shared(lanes);
        sum.lanes.compute_at(lanes, last ? v.g0 : v.l);
        for (Func f : sum.tree) {
            width /= 2;
            shared(f);
        }
    };
    for (LaneSum &sum : d.sums) {
        across_threads(sum, block);
        in_steps(sum, knobs);
    }
    for (Func f : d.of_chunk) f.compute_at(block).bound_storage(v.g0, groups).gpu_threads(v.g0);
    d.in_double.compute_at(block).bound_storage(v.g0, groups).gpu_threads(v.g0);
    d.in_double.update().unscheduled();  // one after the other: each has all threads
    across_threads(d.redone, LoopLevel(d.in_double, d.again.x));
}

// A loop over blocks along a grid's second or third axis, of which CUDA takes 65535: more are further launches. The last one
// is moved back, and computes some values once more.
inline Var limited(Func f, const Var &loop, const Expr &extent) {
    Var far(loop.name() + "_far");
    f.split(loop, far, loop, min(extent, 32768), TailStrategy::ShiftInwards);
    return far;
}

// The merging of the chunks of a block's groups: runs side by side, a thread each, which meet in shared memory; then a thread a
// group adds them, in their order.
inline void merge(Reduction &d, LoopLevel block, const GpuKnobs &knobs) {
    const Axes &v = d.v;
    const bool groups_adjacent = channels_last(d.planes) || tiny(d.planes);  // as chunks are stored
    const auto of_groups = [&](Func f) {
        f.compute_at(block).bound_storage(v.g0, knobs.merge_groups).gpu_threads(v.g0);
    };
    for (GroupSum &sum : d.merged) {
        RVar step("step"), run("run");
        of_groups(sum.total);
        Stage add = sum.total.update();
        add.split(sum.all.x, step, run, knobs.merge_runs, kTail).reorder(run, v.g0, step).gpu_threads(v.g0);
        Func shared = sum.runs.in();
        shared.compute_at(sum.total, step).bound_storage(v.g0, knobs.merge_groups).bound_storage(v.a, knobs.merge_runs);
        if (groups_adjacent) {
            shared.reorder_storage(v.g0, v.a, v.g1).reorder(v.g0, v.a).gpu_threads(v.g0, v.a);
        } else {
            shared.gpu_threads(v.a, v.g0);
        }
        sum.runs.compute_at(shared, groups_adjacent ? v.g0 : v.a);
        if (knobs.load_chunks > 1) sum.runs.update().unroll(sum.chunks.x);
    }
    for (Func f : d.of_group) of_groups(f);
}

// Chunks, then their merging.
inline void reduce(Reduction &d, Func results, const GpuKnobs &knobs) {
    const Axes &v = d.v;
    Var block("block"), thread("thread");
    for (Func f : d.for_chunks) for_groups(f, v);
    d.chunk.compute_root().split(v.g0, block, thread, knobs.chunk_groups, kTail).fuse(block, v.g1, block);
    const Var far_k = limited(d.chunk, v.k, d.K), far_m = limited(d.chunk, v.m, d.M);
    d.chunk.reorder(thread, block, v.k, v.m, far_k, far_m).gpu_blocks(block, v.k, v.m).gpu_threads(thread);
    if (channels_last(d.planes) || tiny(d.planes)) d.chunk.reorder_storage(v.g0, v.k, v.m, v.g1);
    if (tiny(d.planes)) {
        chunks_of_threads(d, LoopLevel(d.chunk, thread), knobs);
    } else {
        chunks_of_blocks(d, LoopLevel(d.chunk, block), knobs);
    }

    results.split(v.g0, block, thread, knobs.merge_groups, kTail);
    const Var far = limited(results, v.g1, results.output_buffers()[0].dim(1).extent());
    results.never_partition_all().reorder(thread, block, v.g1, far).gpu_blocks(block, v.g1).gpu_threads(thread);
    merge(d, LoopLevel(results, block), knobs);
}

// The pointwise part alone.
inline void apply(Planes planes, const Axes &v, std::vector<Func> coefficients, Func y, const GpuKnobs &knobs) {
    for (size_t i = 0; i < coefficients.size(); i++) {
        for_groups(coefficients[i], v);
        if (i > 0) coefficients[i].compute_with(coefficients[0], v.g0);
    }
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
