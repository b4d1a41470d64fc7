// How the kernels run on GPUs, CUDA's and OpenCL's: schedule templates, whose knobs get their values from schedules/cuda.json
// and schedules/opencl.json. Nothing here can change a bit of a result.
//
// A reduction is two programs of the device, of which the second adds the first one's runs, and takes again what has to be (forward's
// has a third, the sample, before). Blocks of the device (OpenCL's work-groups) lie along one axis: of the second and third a device
// takes 65535 only.
#pragma once

#include "../generators/device_sums.h"
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

// The lanes of a run's chunks, a thread each, whose sum is in a register; sums of lanes meet in the block's shared memory.
// Neighbouring threads have neighbouring elements: those of lanes or, of a single lane, of groups.
inline void lanes_of_threads(Reduction &d, LoopLevel block, int groups) {
    const Axes &v = d.v;
    int width = lanes_of(d.planes);
    const bool single = width == 1;
    const auto shared = [&](Func f) {
        f.compute_at(block).bound(v.l, 0, width).bound_storage(v.k, kChunksPerRun).bound_storage(v.g0, groups);
        if (single) {
            f.reorder_storage(v.g0, v.k, v.l, v.a, v.g1).reorder(v.g0, v.k, v.l).gpu_threads(v.g0, v.k);
        } else {
            f.reorder(v.l, v.k, v.g0).gpu_threads(v.l, v.k, v.g0);
        }
    };
    Func lanes = d.sum.lanes.in();
    shared(lanes);
    d.sum.lanes.compute_at(lanes, single ? v.g0 : v.l);
    for (Func f : d.sum.tree) {
        width /= 2;
        shared(f);
    }
}

// The sums by run, as a program of its own: a run of some groups a block.
inline void sum_runs(Reduction &d, const GpuKnobs &knobs) {
    const Axes &v = d.v;
    Var block("block"), thread("thread");
    d.runs.compute_root().split(v.g0, block, thread, knobs.chunk_groups, kTail).reorder(thread, block, v.a, v.g1);
    d.runs.gpu_threads(thread);
    const Var all = blocks(d.runs, {block, v.a, v.g1});
    d.run.compute_at(d.runs, thread);
    lanes_of_threads(d, LoopLevel(d.runs, all), knobs.chunk_groups);
}

// A value a group of a block's, in its shared memory.
inline void of_groups(Func f, const Axes &v, LoopLevel block, int groups) {
    f.compute_at(block).bound_storage(v.g0, groups).gpu_threads(v.g0);
}

// The sum over the runs of a block's groups, in steps of so many runs, whose sums a thread a group adds in their order; `shared`, the
// runs or their chunks, waits for that in shared memory, a thread each.
inline void add_runs(GroupSum &sum, Func shared, bool of_chunks, int runs, LoopLevel block, const GpuKnobs &knobs) {
    const Axes &v = sum.by_run.v;
    RVar step("step"), run("run");
    of_groups(sum.total, v, block, knobs.merge_groups);
    sum.total.update()
        .split(sum.runs.x, step, run, runs, kTail)
        .reorder(run, v.g0, step)
        .gpu_threads(v.g0)
        .never_partition_all();
    shared.compute_at(sum.total, step).bound_storage(v.g0, knobs.merge_groups).bound_storage(v.a, runs);
    if (of_chunks) {
        Var chunk("chunk");
        shared.bound_storage(v.k, kChunksPerRun).reorder(v.g0, v.k, v.a).fuse(v.k, v.a, chunk).gpu_threads(v.g0, chunk);
    } else {
        shared.reorder(v.g0, v.a).gpu_threads(v.g0, v.a);
    }
}

// Groups that are summed again, in the program that adds the runs: for that speed matters little. A thread takes a chunk, or of few
// channels a part.
inline void sum_again(GroupSum &sum, bool narrow, LoopLevel block, const GpuKnobs &knobs) {
    Reduction &d = sum.by_run;
    const Axes &v = d.v;
    LoopLevel chunk(d.run, d.chunks.x);
    if (narrow) {
        of_groups(sum.total, v, block, Groups::kMostColumns);
        sum.total.update().gpu_threads(v.g0);
        d.run.compute_at(sum.total, sum.runs.x);
    } else {
        add_runs(sum, d.chunk, true, std::max(knobs.merge_runs / kChunksPerRun, 1), block, knobs);
        d.run.compute_at(sum.total, RVar("run"));
        chunk = LoopLevel(d.chunk, v.g0);
    }
    std::vector<Func> levels = {d.sum.lanes};
    levels.insert(levels.end(), d.sum.tree.begin(), d.sum.tree.end());
    const int lanes = lanes_of(d.planes);
    for (size_t i = 0; i < levels.size(); i++) {
        levels[i].compute_at(i + 1 < levels.size() ? LoopLevel(levels[i + 1], v.l) : chunk);
        levels[i]
            .bound_extent(v.l, i + 1 < levels.size() ? 2 : std::min(lanes, 4))
            .bound_storage(v.k, 1)
            .bound_storage(v.a, 1);
    }
}

// The sample's elements side by side; a thread a group adds them.
inline void sample(FirstSample &d, Planes planes) {
    const Axes v;
    const Var i("i");
    const int W = sampled_neighbours(planes), groups = W == 1 ? 8 : 2;
    Var block("block");
    d.about.compute_root().split(v.g0, block, v.g0, groups, kTail).gpu_threads(v.g0);
    const LoopLevel all(d.about, blocks(d.about, {block, v.g1}));
    d.elements.compute_at(all).bound(v.l, 0, W).bound_storage(i, kMostSampled).bound_storage(v.g0, groups);
    if (W == 1) {
        d.elements.reorder_storage(v.g0, i, v.l, v.g1).reorder(v.g0, i, v.l).gpu_threads(v.g0, i);
    } else {
        d.elements.gpu_threads(v.l, i, v.g0);
    }
    for (Sample *of : {&d.once, &d.scaled}) {
        of->lanes.compute_at(d.about, v.g0).bound(v.l, 0, W).unroll(v.l);
        of->lanes.update().unroll(v.l);
    }
    d.scale.compute_at(d.about, v.g0);
}

// The sample, the runs, and what follows from them.
inline void reduce(DeviceReduction &d, Func results, Planes planes, bool narrow, const GpuKnobs &knobs) {
    const Axes v;
    if (d.has_sample) sample(d.sample, planes);
    const int groups = narrow ? 16 : knobs.merge_groups;  // few channels: all in a block, which takes all their parts
    Var block("block");
    results.never_partition_all().split(v.g0, block, v.g0, groups, kTail).gpu_threads(v.g0);
    const LoopLevel all(results, blocks(results, {block, v.g1}));

    GroupSum &first = d.sums[0];
    sum_runs(first.by_run, knobs);
    if (narrow) {
        Func parts = first.total.in();
        parts.compute_root().split(v.g0, block, v.g0, knobs.merge_groups, kTail).gpu_threads(v.g0);
        add_runs(first, first.by_run.runs.in(), false, knobs.merge_runs, LoopLevel(parts, blocks(parts, {block, v.g1})),
                 knobs);
    } else {
        add_runs(first, first.by_run.runs.in(), false, knobs.merge_runs, all, knobs);
    }
    for (GroupSum &sum : d.sums) {
        if (&sum != &first) sum_again(sum, narrow, all, knobs);
        if (narrow) of_groups(sum.whole, v, all, groups);
        if (narrow) sum.whole.update().gpu_threads(v.g0);
    }
    for (Func f : d.of_group) of_groups(f, v, all, groups);
    d.sample_again.lanes.compute_at(d.of_group[1], v.g0).bound(v.l, 0, sampled_neighbours(planes));
}

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
