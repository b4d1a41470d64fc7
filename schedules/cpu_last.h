// How the kernels run on CPUs where channels are next to each other in memory: vectors across channels, in two phases. First
// the chunks, in parallel, a tile of channels of a chunk at a time, so that its second pass finds it in cache; then their
// merging, in parallel over blocks of channels.
#pragma once

#include "cpu.h"

namespace hnorm {
namespace cpu {

// Lanes of a block of channels in registers while the rows of a chunk pass by; a few lanes at a time where all would not fit,
// so that every cache line is still read once, then the tile's next block.
inline void lane_sum_last(LaneSum &sum, const Axes &v, const CpuKnobs &knobs, LoopLevel where, int lanes,
                          const std::vector<Expr> &variants) {
    const int block = std::min(knobs.channel_block, knobs.channel_tile);
    const int vectors = std::max(1, block / knobs.vector) * sum.lanes.outputs();
    const int together = std::min(lanes, std::max(1, knobs.accumulators / vectors));
    Var bo("bo"), bi("bi"), lo("lo"), li("li");
    const auto across_channels = [&](Func f, int width) {
        f.compute_at(where).reorder_storage(v.g0, v.l, v.k, v.m, v.g1).bound(v.l, 0, width);
        f.reorder(v.g0, v.l).vectorize(v.g0, knobs.vector, kTail).unroll(v.l);
    };
    const auto in_registers = [&](Stage s, const std::vector<RVar> &loops) {
        std::vector<VarOrRVar> order = {bi, li};
        order.insert(order.end(), loops.begin(), loops.end());
        order.insert(order.end(), {lo, bo});
        s.split(v.g0, bo, bi, block, kTail).split(v.l, lo, li, together).reorder(order);
        s.vectorize(bi, knobs.vector).unroll(bi).unroll(li).never_partition_all();
        specialize(s, variants);
    };
    across_channels(sum.lanes, lanes);
    in_registers(sum.lanes.update(0), {sum.rows.x, sum.rows.y});
    in_registers(sum.lanes.update(1), {sum.last.x});
    int width = lanes;
    for (Func f : sum.tree) across_channels(f, width /= 2);
}

// Both phases of a reduction.
inline void reduce_last(Reduction &d, std::vector<Func> statistics, const CpuKnobs &knobs) {
    const Axes &v = d.v;
    const int lanes = lanes_of(d.planes);
    Var tile("tile"), tiles("tiles"), ks("ks"), ms("ms"), task("task");

    // A task is some tiles of one chunk, or where that is too little, some chunks of a plane, or all of some planes.
    const Expr C = statistics[0].output_buffer().dim(0).extent();
    const Expr K = d.K;
    const int chunk_rows = kRowsPerChunk * lanes;
    const auto tasks = [&](Stage s, int width, TailStrategy tail) {
        const Expr chunk = cast<int>(chunk_rows * min(C, knobs.task_floats));
        const Expr chunks = max(knobs.task_floats / chunk, 1);
        s.split(v.g0, tile, v.g0, width, tail);
        s.split(tile, tiles, tile, std::max(1, knobs.task_floats / (chunk_rows * width)), kTail);
        s.split(v.k, ks, v.k, min(chunks, K), kTail).split(v.m, ms, v.m, max(chunks / K, 1), kTail);
        s.reorder(v.g0, tile, v.k, v.m, tiles, ks, ms, v.g1).vectorize(v.g0, knobs.vector, kTail);
        s.fuse(tiles, ks, task).fuse(task, ms, task).fuse(task, v.g1, task).parallel(task);
        s.never_partition_all();
    };
    d.chunk.compute_root().reorder_storage(v.g0, v.k, v.m, v.g1);
    // Tiles as wide as the channels allow: memory is fast where much of it lies together. The last tile is moved back: no guards,
    // and what is computed twice gives the same, but it costs: an eighth at most is, except of the narrowest. Fewer channels than a
    // vector are computed behind guards.
    for (int width = knobs.channel_tile; width >= 16 && width > knobs.vector; width /= 2) {
        tasks(d.chunk.specialize(C % width == 0 || C >= 8 * width), width, TailStrategy::ShiftInwards);
    }
    tasks(d.chunk.specialize(C >= knobs.vector), knobs.vector, TailStrategy::ShiftInwards);
    tasks(d.chunk, knobs.vector, kTail);

    const LoopLevel step(d.chunk, tile);
    for (Func f : d.given) f.compute_root().vectorize(v.g0, knobs.vector, kTail);
    for (Func f : d.for_chunks) {
        f.compute_root().vectorize(v.g0, knobs.vector, kTail);
        f.specialize(d.variants[0]);
    }
    for (LaneSum &sum : d.sums) lane_sum_last(sum, v, knobs, step, lanes, d.variants);
    for (Func f : d.of_chunk) f.compute_at(step).vectorize(v.g0, knobs.vector, kTail);
    d.in_double.compute_at(step);
    // Rare: one channel at a time.
    const LoopLevel rare = tiny(d.planes) ? LoopLevel(d.in_double, v.g0) : LoopLevel(d.in_double, d.again.x);
    d.redone.lanes.compute_at(rare);
    for (Func f : d.redone.tree) f.compute_at(rare);

    Var block("block");
    for (Func f : statistics) {
        f.split(v.g0, block, v.g0, knobs.group_block, kTail).vectorize(v.g0, knobs.vector, kTail);
        f.parallel(v.g1).parallel(block);
    }
    statistics[1].compute_with(statistics[0], block);
    merge_at(d, knobs, LoopLevel(statistics[0], block));
}

// The pointwise part alone, in tasks of some positions of a plane, or where those are few, of some planes.
inline void apply_last(const Axes &v, std::vector<Func> coefficients, Func y, const CpuKnobs &knobs) {
    Var ss("ss"), rs("rs"), task("task");
    const auto extent = [&](int i) { return y.output_buffer().dim(i).extent(); };
    const Expr positions = max(knobs.task_floats / max(extent(2), 1), 1);
    y.split(v.s, ss, v.s, min(positions, extent(0)), kTail).split(v.r, rs, v.r, max(positions / extent(0), 1), kTail);
    const auto tasks = [&](Stage stage, const std::vector<VarOrRVar> &loops) {
        stage.reorder(loops).vectorize(v.g0, knobs.store_vector, kTail);
        stage.fuse(ss, rs, task).fuse(task, v.g1, task).parallel(task);
    };
    // One position after the other, in the order of memory: two or four side by side took 1.6 times as long at 256 channels. But
    // where the coefficients of all channels would leave the first cache from one position to the next, four share them.
    constexpr int kFirstCache = 24 << 10, kTogether = 4;
    int bytes = 0;
    for (Func f : coefficients) bytes += f.outputs() * static_cast<int>(sizeof(float));
    Var steps("steps"), step("step");
    if (bytes > 0) {
        Stage many = y.specialize(extent(2) * bytes >= kFirstCache);
        tasks(many.split(v.s, steps, step, kTogether, kTail).unroll(step), {step, v.g0, steps, v.r, ss, rs, v.g1});
    }
    tasks(y, {v.g0, v.s, v.r, ss, rs, v.g1});
    for (Func f : coefficients) f.compute_root().vectorize(v.g0, knobs.vector, kTail).parallel(v.g1);
}

}  // namespace cpu
}  // namespace hnorm
