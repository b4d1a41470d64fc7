// How the kernels run on CPUs where channels are next to each other in memory: vectors across
// channels.
#pragma once

#include "cpu.h"

namespace hnorm {
namespace cpu {

// Tiles of channels are summed run by run. Within a tile a block of channels is in registers while
// some rows of a chunk pass by, then the tile's next block for the same rows.
inline void reduce_last(Reduction &d, const CpuKnobs &knobs) {
    const Axes &v = d.v;
    const int block = std::min(knobs.channel_block, knobs.channel_tile);
    Var tile("tile");
    const auto tasks = [&](Stage s, const Expr &width, TailStrategy tail) {
        s.split(v.g0, tile, v.g0, width, tail).reorder(v.g0, tile, v.a, v.b, v.g1).vectorize(v.g0, knobs.vector, kTail);
        s.parallel(v.g1).parallel(v.b).parallel(v.a).parallel(tile).never_partition_all();
    };
    // Tiles are of whole blocks, and as equal as can be. The last one is moved back to end with the
    // channels, so it needs no guards. Fewer channels than a block are computed by vectors, and
    // fewer than a vector behind guards.
    const Expr C = d.runs.output_buffers()[0].dim(0).extent();
    const Expr tiles = (C + knobs.channel_tile - 1) / knobs.channel_tile, of_tile = (C + tiles - 1) / tiles;
    tasks(d.runs.specialize(C >= block), max(min((of_tile + block - 1) / block, C / block), 1) * block,
          TailStrategy::ShiftInwards);
    if (block > knobs.vector) tasks(d.runs.specialize(C >= knobs.vector), knobs.vector, TailStrategy::ShiftInwards);
    tasks(d.runs, knobs.vector, kTail);

    d.run.compute_at(d.runs, tile).bound_storage(v.g0, knobs.channel_tile).vectorize(v.g0, knobs.vector, kTail);
    d.run.update().reorder(v.g0, d.chunks.x, d.chunks.y).vectorize(v.g0, knobs.vector, kTail).never_partition_all();

    Func lanes = d.sum.lanes;
    lanes.compute_at(d.run, d.chunks.x).reorder_storage(v.g0, v.l, v.k, v.m, v.g1);
    one_chunk(lanes, v, knobs.channel_tile);
    lanes.reorder(v.g0, v.l).vectorize(v.g0, knobs.vector, kTail);
    Stage rows = lanes.update(0), last = lanes.update(1);
    Var bo("bo"), bi("bi");
    RVar sweep("sweep"), four("four");
    rows.split(v.g0, bo, bi, block, kTail).split(d.sum.rows.x, sweep, four, knobs.sweep, kTail);
    rows.reorder(bi, four, bo, sweep, d.sum.rows.y).vectorize(bi, knobs.vector).never_partition_all();
    specialize(rows, d.variants, [&](Stage stage) { stage.unroll(bi); });
    last.reorder(v.g0, d.sum.last[0].x).vectorize(v.g0, knobs.vector, kTail).never_partition_all();
    specialize(last, d.variants);
}

inline void reduce(Reduction &d, const CpuKnobs &knobs) {
    if (channels_last(d.planes)) {
        reduce_last(d, knobs);
    } else {
        reduce_first(d, knobs);
    }
}

// The pointwise part. A task is some positions of a plane, some planes where these have few
// positions, or some samples where these have few elements. values_per_group: the floats that it
// reads of each channel. apart, past_cache: as in apply().
inline void apply_last(const Axes &v, Func y, const CpuKnobs &knobs, int values_per_group, const Expr &apart,
                       const Expr &past_cache, const std::vector<Expr> &variants) {
    Var ss("ss"), rs("rs"), ns("ns"), task("task");
    const auto extent = [&](int i) { return y.output_buffer().dim(i).extent(); };
    const Expr S = extent(0), C = extent(2), positions = max(knobs.task_floats / max(C, 1), 1);
    // Enough of them that what a task costs does not show, and few enough for many threads.
    const Expr samples = max(positions / 8 / max(S * extent(1), 1), 1);
    const auto tasks = [&](Stage stage, std::vector<VarOrRVar> loops) {
        loops.insert(loops.end(), {v.r, v.g1, ss, rs, ns});
        stage.reorder(loops).fuse(ss, rs, task).fuse(task, ns, task).parallel(task);
        specialize(stage, variants);
    };
    // Positions are computed one after the other, in the order of memory: two or four side by side
    // took 1.6 times as long at 256 channels. But where the coefficients of all channels would
    // leave the first cache from one position to the next, some positions share them.
    const int bytes = values_per_group * static_cast<int>(sizeof(float));
    Var steps("steps"), step("step");
    const auto split = [&](Stage stage) {
        return stage.split(v.s, ss, v.s, min(positions, S), kTail)
            .split(v.r, rs, v.r, max(positions / S, 1), kTail)
            .split(v.g1, ns, v.g1, samples, kTail);
    };
    if (past_cache.defined()) {
        const int element = y.types()[0].bytes();
        Stage past = split(y.specialize(past_cache && C * element >= kPastCacheBytes));
        const TilesPastCache tiles(past, v.g0, element, knobs);
        tasks(past, {tiles.lane, tiles.vectors, tiles.tile, v.s});
    }
    const auto vectors = [&](Stage stage, TailStrategy tail) {
        return split(stage).vectorize(v.g0, knobs.store_vector, tail);
    };
    if (bytes > 0) {
        Stage many = vectors(y.specialize(C * bytes >= knobs.share_bytes), kTail);
        tasks(many.split(v.s, steps, step, knobs.share_positions, kTail).unroll(step), {step, v.g0, steps});
    }
    if (apart.defined()) {
        // The last vector is moved back to end with the channels, as in apply().
        const Expr partial = C > knobs.store_vector && C % knobs.store_vector != 0;
        tasks(vectors(y.specialize(apart && partial), TailStrategy::ShiftInwards), {v.g0, v.s});
    }
    tasks(vectors(y, kTail), {v.g0, v.s});
}

}  // namespace cpu
}  // namespace hnorm
