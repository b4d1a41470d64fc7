// How the kernels run on GPUs, CUDA's and OpenCL's: schedule templates, whose knobs get their
// values from schedules/cuda.json and schedules/opencl.json. Nothing here can change a bit of a
// result.
//
// A reduction is two programs of the device. The second adds the first one's runs, and sums again
// what has to be. Blocks of the device (OpenCL's work-groups) lie along one axis: of the second and
// third a device takes 65535 only.
#pragma once

#include "gpu_block.h"

namespace hnorm {
namespace gpu {

constexpr int kMostFewChannels = 16;  // of a block, which has all of them

// The probe as a program of its own.
inline void probe_apart(FirstProbe &d, PlaneClass planes) {
    const Axes v;
    const int groups = lanes_of(planes) == 1 ? 8 : 2;
    Func all = d.about.in();
    Var block("block");
    all.compute_root().split(v.g0, block, v.g0, groups, kTail).gpu_threads(v.g0);
    const LoopLevel level(all, blocks(all, {block, v.g1}));
    probe_in_block(d, planes, level, groups, BlockThreads(planes, groups, 1, {}));
}

// The sums by run, as a program of its own: of each block, some runs of some groups.
inline void sum_runs(DeviceReduction &d, bool few_channels, const GpuKnobs &knobs, const AtOnce &wanted) {
    Reduction &sums = d.sums[0].by_run;
    const Axes &v = sums.v;
    const AtOnce at_once = wanted.within(sums.planes, knobs.chunk_groups);
    const int parts = knobs.chunk_groups, groups = few_channels ? kMostFewChannels : parts;
    const int runs = runs_side_by_side(sums.planes, parts, knobs.chunk_threads);
    Var block("block"), thread("thread"), step("step"), run("run");
    sums.runs.compute_root().split(v.g0, block, thread, parts, kTail).split(v.a, step, run, runs, kTail);
    sums.runs.reorder(thread, run, block, step, v.g1);
    threads_of_runs(sums.runs, sums.planes, thread, run, at_once);
    const LoopLevel all(sums.runs, blocks(sums.runs, {block, step, v.g1}));
    sums.run.compute_at(sums.runs, thread);
    lanes_of_threads(sums, all, parts, runs, at_once);
    for (Func f : d.of_first) in_block(f, v, all, groups);
    if (!d.has_probe) return;
    if (knobs.probe_apart) {
        probe_apart(d.probe, sums.planes);
    } else {
        probe_in_block(d.probe, sums.planes, all, groups, BlockThreads(sums.planes, parts, runs, at_once));
    }
}

// The sum over the runs of a block's groups, in steps of so many runs, whose sums a thread a group
// adds in their order; `shared`, the runs or their chunks, waits for that in shared memory, a
// thread each.
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

// Groups that are summed again, in the program that adds the runs: for that speed matters little. A
// thread takes a chunk, or of few channels a part.
inline void sum_again(GroupSum &sum, bool few_channels, LoopLevel block, const GpuKnobs &knobs) {
    Reduction &d = sum.by_run;
    const Axes &v = d.v;
    LoopLevel chunk(d.run, d.chunks.x);
    if (few_channels) {
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

// The probe, the runs, and what follows from them.
// `values`: of groups, besides the results.
inline void reduce(DeviceReduction &d, Func results, const std::vector<Func> &values, PlaneClass planes,
                   bool few_channels, const GpuKnobs &knobs, const AtOnce &at_once) {
    const Axes v;
    // Few channels: all in a block, which takes all their parts.
    const int groups = few_channels ? kMostFewChannels : knobs.merge_groups;
    Var block("block");
    results.never_partition_all().split(v.g0, block, v.g0, groups, kTail).gpu_threads(v.g0);
    const LoopLevel all(results, blocks(results, {block, v.g1}));

    GroupSum &first = d.sums[0];
    sum_runs(d, few_channels, knobs, at_once);
    if (few_channels) {
        Func parts = first.total.in();
        parts.compute_root().split(v.g0, block, v.g0, knobs.merge_groups, kTail).gpu_threads(v.g0);
        add_runs(first, first.fetched, false, knobs.merge_runs, LoopLevel(parts, blocks(parts, {block, v.g1})), knobs);
    } else {
        add_runs(first, first.fetched, false, knobs.merge_runs, all, knobs);
    }
    for (GroupSum &sum : d.sums) {
        if (&sum != &first) sum_again(sum, few_channels, all, knobs);
        if (few_channels) of_groups(sum.whole, v, all, groups);
        if (few_channels) sum.whole.update().gpu_threads(v.g0);
    }
    for (Func f : d.of_group) of_groups(f, v, all, groups);
    for (Func f : values) of_groups(f, v, all, groups);
    if (!d.has_probe) return;
    d.probe_again.lanes.compute_at(d.of_group[1], v.g0).bound(v.l, 0, probed_neighbours(planes));
}

// The pointwise part alone. A thread takes adjacent elements at once.
inline void apply(PlaneClass planes, const Axes &v, Func y, const GpuKnobs &knobs, const AtOnce &at_once) {
    // A thread's elements are apart, so that neighbouring threads load neighbouring elements: along
    // the plane or, channels-last, from position to position of a channel, whose coefficients serve
    // them all.
    const bool last = channels_last(planes);
    const Var adjacent = last ? v.g0 : v.s, across = last ? v.s : v.g0;
    Var tile("tile"), step("step"), thread("thread"), row("row"), rows("rows"), element("element");
    const int steps = std::max(knobs.store_steps / at_once.elements, 1);
    // Channels-last, there may be no more channels than one vector for each of so many threads.
    const int fewer = last ? std::min(at_once.elements, knobs.store_threads) : 1;
    const int threads = knobs.store_threads / fewer, side_by_side = knobs.store_rows * fewer;
    std::vector<VarOrRVar> order = {step, thread, row, tile, rows, v.r, v.g1};
    if (at_once.elements > 1) {
        at_once.take(y.split(adjacent, adjacent, element, at_once.elements), element);
        order.insert(order.begin(), element);
    }
    y.split(adjacent, tile, thread, last ? threads : threads * steps, kTail);
    y.split(across, rows, row, last ? side_by_side * steps : side_by_side, kTail);
    if (last) {
        y.split(row, step, row, side_by_side, kTail);
    } else {
        y.split(thread, step, thread, threads, kTail);
    }
    y.reorder(order).unroll(step).gpu_threads(thread, row);
    blocks(y, {tile, rows, v.r, v.g1});
}

}  // namespace gpu
}  // namespace hnorm
