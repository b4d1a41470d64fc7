// What a block of a GPU is made of: its threads, what each takes, and what they share. Of the
// schedule templates in gpu.h and gpu_fused.h.
#pragma once

#include <algorithm>
#include <vector>

#include "../generators/device_sums.h"
#include "gpu_knobs.h"

namespace hnorm {
namespace gpu {

constexpr auto kTail = TailStrategy::GuardWithIf;  // no element may be stored twice, in place

// Adjacent elements that a thread takes at once: a vector on CUDA. In OpenCL, Halide 21 fails at
// vectors that are compared under strict_float. There the elements are one after the other, and the
// driver's compiler makes vectors of them.
struct AtOnce {
    int elements = 1;
    bool are_vectors = true;

    // Where adjacent elements are groups', of which a block has so many.
    AtOnce within(PlaneClass planes, int groups) const {
        return {lanes_of(planes) == 1 ? std::min(elements, groups) : elements, are_vectors};
    }

    void take(Stage f, const Var &element) const {
        if (are_vectors) {
            f.vectorize(element);
        } else {
            f.unroll(element);
        }
    }
};

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

// A value a group of a block's, in its shared memory.
inline void of_groups(Func f, const Axes &v, LoopLevel block, int groups) {
    f.compute_at(block).bound_storage(v.g0, groups).gpu_threads(v.g0);
}
// The same where Halide does not see that a block has no more groups: it would take all that there
// are for the number of threads.
inline void in_block(Func f, const Axes &v, LoopLevel block, int groups) {
    Var step("step");
    f.compute_at(block).bound_storage(v.g0, groups).bound_extent(v.g1, 1);
    f.split(v.g0, step, v.g0, groups, kTail).gpu_threads(v.g0);
}

// So many runs of a block's groups are summed side by side that it has about so many threads.
inline int runs_side_by_side(PlaneClass planes, int groups, int threads) {
    return std::max(threads / (lanes_of(planes) * kChunksPerRun * groups), 1);
}

// The threads of sums of lanes that take adjacent elements at once: those of lanes or, of a single
// lane, of groups. Returns the loop over the threads of a chunk.
inline Var vectors_of_threads(Func f, const Axes &v, int width, bool single, int groups, int runs,
                              const AtOnce &at_once) {
    Var element("element"), step("step"), thread("thread");
    if (single) {
        f.split(v.g0, v.g0, element, at_once.elements, TailStrategy::RoundUp)
            .split(v.g0, step, v.g0, groups / at_once.elements, kTail);
        f.reorder_storage(v.g0, v.k, v.l, v.a, v.g1).reorder(element, v.g0, v.k, v.a, v.l, step);
        f.fuse(v.g0, v.k, thread).gpu_threads(thread, v.a);
        at_once.take(f, element);
        return thread;
    }
    f.split(v.l, v.l, element, std::min(at_once.elements, width));
    const Var outer = groups > 1 ? v.g0 : v.a;
    f.reorder(element, v.l, v.k, outer, groups > 1 ? v.a : v.g0).fuse(v.l, v.k, thread);
    if (groups > 1 && runs > 1) f.fuse(v.g0, v.a, v.g0);
    f.gpu_threads(thread, outer);
    at_once.take(f, element);
    return thread;
}

// The lanes of the chunks of a block's runs, a thread each, whose sum is in a register; sums of
// lanes meet in the block's shared memory. Neighbouring threads have neighbouring elements: those
// of lanes or, of a single lane, of groups. A thread takes some of them at once.
inline void lanes_of_threads(Reduction &d, LoopLevel at, int groups, int runs, const AtOnce &at_once) {
    const Axes &v = d.v;
    int width = lanes_of(d.planes);
    const bool single = width == 1;
    Var thread = single ? v.g0 : v.l;
    const auto shared = [&](Func f) {
        f.compute_at(at).bound(v.l, 0, width).bound_extent(v.g1, 1).bound_storage(v.k, kChunksPerRun);
        f.bound_storage(v.g0, groups).bound_storage(v.a, runs);
        if (at_once.elements > 1) {
            thread = vectors_of_threads(f, v, width, single, groups, runs, at_once);
        } else if (single) {
            f.reorder_storage(v.g0, v.k, v.l, v.a, v.g1).reorder(v.g0, v.k, v.a, v.l).gpu_threads(v.g0, v.k, v.a);
        } else {
            // Fused loops take more registers, so one of them alone is not.
            Var z = groups > 1 ? v.g0 : v.a;
            f.reorder(v.l, v.k, z, groups > 1 ? v.a : v.g0);
            if (groups > 1 && runs > 1) f.fuse(v.g0, v.a, z);
            f.gpu_threads(v.l, v.k, z);
        }
    };
    Func lanes = d.sum.lanes.in();
    shared(lanes);
    d.sum.lanes.compute_at(lanes, thread);
    if (at_once.elements > 1) {
        const Var element = single ? v.g0 : v.l;
        at_once.take(d.sum.lanes.bound_extent(element, at_once.elements), element);
        for (int i = 0; i < d.sum.lanes.num_update_definitions(); i++) at_once.take(d.sum.lanes.update(i), element);
    }
    for (Func f : d.sum.tree) {
        width /= 2;
        shared(f);
    }
}

// A run of a group: a thread each, on the axes of its block's lanes.
inline void threads_of_runs(Func runs, PlaneClass planes, const Var &group, const Var &run, const AtOnce &at_once) {
    Var one("one");
    if (lanes_of(planes) == 1 && at_once.elements == 1) {
        runs.split(run, run, one, 1).reorder(group, one, run).gpu_threads(group, one, run);
    } else {
        runs.reorder(group, run).gpu_threads(group, run);
    }
}

// The threads of a block. x: the lanes of a chunk or, of a single lane, groups; y: the chunks of a
// run; z: the rest, runs side by side and groups. If a thread takes elements at once, x: vectors
// and chunks; y: the rest.
struct BlockThreads {
    int x, y = kChunksPerRun, z;

    BlockThreads(PlaneClass planes, int groups, int runs, const AtOnce &at_once)
        : x(lanes_of(planes) == 1 ? groups : lanes_of(planes)), z(lanes_of(planes) == 1 ? runs : groups * runs) {
        if (at_once.elements == 1) return;
        x = x / at_once.elements * kChunksPerRun;
        y = z;
        z = 1;
    }

    // A loop over what all threads share.
    void share(Func f, Var loop) const {
        Var step("step"), line("line"), thread_x("thread_x"), thread_y("thread_y"), thread_z("thread_z");
        f.split(loop, step, line, x * y * z, kTail).split(line, line, thread_x, x).split(line, thread_z, thread_y, y);
        f.gpu_threads(thread_x, thread_y, thread_z);
    }
};

// The probe of a block's groups: all threads fetch its elements, and one a group adds them.
inline void probe_in_block(FirstProbe &d, PlaneClass planes, LoopLevel block, int groups, const BlockThreads &threads) {
    const Axes v;
    const Var i("i");
    const int W = probed_neighbours(planes);
    in_block(d.about, v, block, groups);
    d.elements.compute_at(block)
        .bound(v.l, 0, W)
        .bound_extent(v.g1, 1)
        .bound_storage(i, kMostProbed)
        .bound_storage(v.g0, groups);
    Var at("at");
    if (W == 1) {
        d.elements.reorder_storage(v.g0, i, v.l, v.g1).reorder(v.g0, i, v.l).fuse(v.g0, i, at);
    } else {
        d.elements.reorder(v.l, i, v.g0).fuse(v.l, i, at).fuse(at, v.g0, at);
    }
    threads.share(d.elements, at);
    for (Probe *of : {&d.once, &d.scaled}) {
        RVar step("step"), row("row");
        of->lanes.compute_at(d.about, v.g0).bound(v.l, 0, W).unroll(v.l);
        of->lanes.update().split(of->rows.x, step, row, 4, kTail).reorder(v.l, row, step).unroll(v.l).unroll(row);
    }
    d.scale.compute_at(d.about, v.g0);
}

}  // namespace gpu
}  // namespace hnorm
