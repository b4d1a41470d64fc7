// How the kernels run on CPUs: schedule templates, whose knobs get their values from
// schedules/<target>.json. Nothing here can change a bit of a result.
#pragma once

#include "../generators/probe.h"
#include "cpu_knobs.h"
#include "past_cache.h"

namespace hnorm {

namespace cpu {

constexpr auto kTail = TailStrategy::GuardWithIf;  // in place, no element may be stored twice

// A variant of the loop for each of the conditions, one of which holds. unrolled(variant) is done
// to all but the last one, which is rare and stays small.
template <typename Unrolled>
void specialize(Stage stage, const std::vector<Expr> &variants, const Unrolled &unrolled) {
    for (size_t i = 0; i < variants.size(); i++) {
        Stage of_variant = stage.specialize(variants[i]);
        if (i + 1 < variants.size()) unrolled(of_variant);
    }
    if (variants.empty()) {
        unrolled(stage);
    } else {
        stage.specialize_fail("one of the variants must hold");
    }
}
inline void specialize(Stage stage, const std::vector<Expr> &variants) {
    specialize(stage, variants, [](Stage) {});
}

// Tells Halide that f holds one chunk of so many groups, which it does not see. So the memory is on
// the stack.
inline void one_chunk(Func f, const Axes &v, int groups) {
    f.bound_storage(v.g0, groups).bound_storage(v.k, 1).bound_storage(v.m, 1).bound_storage(v.g1, 1);
}

// Keeps the lanes in registers while the rows of a plane pass by, and adds them by the tree right
// after.
inline void lane_sum(Reduction &d, const CpuKnobs &knobs) {
    const Axes &v = d.v;
    LaneSum &sum = d.sum;
    const LoopLevel where(d.run, d.chunks.x);
    const int lanes = lanes_of(d.planes);
    Stage rows = sum.lanes.update(0);
    const int groups = d.planes == PlaneClass::Large ? 1 : knobs.group_block;
    sum.lanes.compute_at(where);
    one_chunk(sum.lanes, v, groups);
    if (lanes == 1) {  // tiny planes: vectors across groups
        sum.lanes.reorder_storage(v.g0, v.l, v.k, v.m, v.g1).reorder(v.g0, v.l).vectorize(v.g0, knobs.vector, kTail);
        rows.reorder(v.g0, sum.rows.x, sum.rows.y).vectorize(v.g0, knobs.vector, kTail);
        Stage last = sum.lanes.update(1);
        last.reorder(v.g0, sum.last[0].x).vectorize(v.g0, knobs.vector, kTail);
        for (Stage stage : {rows, last}) specialize(stage, d.variants);
    } else {
        const int vector = std::min(lanes, knobs.vector);
        const int block = std::min(lanes, std::max(knobs.lane_block, vector));
        Var lo("lo"), li("li");
        sum.lanes.bound(v.l, 0, lanes).vectorize(v.l, vector).unroll(v.l);
        rows.split(v.l, lo, li, block);
        if (block < lanes) {
            rows.reorder(li, sum.rows.x, lo, v.g0, sum.rows.y);
        } else {
            rows.reorder(li, lo, sum.rows.x, v.g0, sum.rows.y);
        }
        rows.vectorize(li, vector).never_partition_all();
        specialize(rows, d.variants, [&](Stage stage) {
            stage.unroll(li).unroll(lo);
            if (knobs.row_unroll > 1) stage.unroll(sum.rows.x, knobs.row_unroll);
        });
        for (size_t i = 0; i < sum.last.size(); i++) {
            Stage last = sum.lanes.update(static_cast<int>(i) + 1);
            last.reorder(v.l, v.g0, sum.last[i].x).vectorize(v.l, vector).never_partition_all();
            specialize(last, d.variants, [&](Stage stage) { stage.unroll(v.l); });
        }
    }
    int width = lanes;
    for (Func f : sum.tree) {
        width /= 2;
        one_chunk(f, v, groups);
        f.compute_at(where).bound(v.l, 0, width).vectorize(v.l, std::min(width, knobs.vector)).unroll(v.l);
    }
}

// Whether groups of N small planes of S positions are summed one by one, and not chunk by chunk of
// a block of groups (docs/performance.md, "Group by group"). Where a plane has two chunks, that
// reads memory in order. Where two or four planes share a chunk, a group's lanes stay in registers;
// where eight do, the pieces that are read would be too short.
inline Expr group_by_group(const Expr &S, const Expr &N) { return S > 512 || (N > 1 && S > 64 && S < 256); }

// Runs are computed in parallel: one group of large planes, else a block of groups with vectors
// across them, chunk by chunk. Loops over blocks are not partitioned: code of its own for whole
// blocks was no faster, and doubled the kernels.
inline void reduce_first(Reduction &d, const CpuKnobs &knobs) {
    const Axes &v = d.v;
    Stage add = d.run.update();
    d.run.compute_at(d.runs, v.a);
    if (d.planes == PlaneClass::Large) {
        d.runs.reorder(v.a, v.b, v.g0, v.g1).parallel(v.g1).parallel(v.g0).parallel(v.b).parallel(v.a);
    } else {
        Var block("block");
        d.runs.split(v.g0, block, v.g0, knobs.group_block, kTail).reorder(v.g0, v.a, v.b, block, v.g1);
        d.runs.parallel(v.g1).parallel(block).parallel(v.b).parallel(v.a).vectorize(v.g0, knobs.vector, kTail);
        d.runs.never_partition_all();
        d.run.bound_storage(v.g0, knobs.group_block).bound_storage(v.a, 1).vectorize(v.g0, knobs.vector, kTail);
        if (d.planes == PlaneClass::Small) {
            Stage by_group = add.specialize(group_by_group(d.S, d.N));
            by_group.reorder(d.chunks.x, v.g0, d.chunks.y).never_partition_all();
        }
        add.reorder(v.g0, d.chunks.x, d.chunks.y).vectorize(v.g0, knobs.vector, kTail);
    }
    add.never_partition_all();
    lane_sum(d, knobs);
}

// Blocks of groups are computed in parallel. The sums of a block's probes stay in registers.
inline void probe(Probe &d, Func out, const CpuKnobs &knobs) {
    const Axes &v = d.v;
    const int lanes = probed_neighbours(d.planes);
    Var block("block");
    const auto blocks = [&](Stage s, int width, TailStrategy tail) {
        s.split(v.g0, block, v.g0, width, tail).vectorize(v.g0, std::min(width, knobs.vector), kTail);
        s.parallel(v.g1).parallel(block).never_partition_all();
    };
    // The last block is moved back to end with the groups. So it needs no guards; some groups are
    // computed twice, with the same result.
    const Expr C = out.output_buffers()[0].dim(0).extent();
    const int width = std::max(knobs.group_block, knobs.vector);
    blocks(out.specialize(C >= width), width, TailStrategy::ShiftInwards);
    if (width > knobs.vector) blocks(out.specialize(C >= knobs.vector), knobs.vector, TailStrategy::ShiftInwards);
    blocks(out, knobs.vector, kTail);
    d.lanes.compute_at(out, block).bound_storage(v.g0, width);
    Stage add = d.lanes.update();
    if (lanes == 1) {
        d.lanes.reorder_storage(v.g0, v.l, v.g1).reorder(v.g0, v.l).vectorize(v.g0, knobs.vector, kTail);
        add.reorder(v.g0, d.rows.x).vectorize(v.g0, knobs.vector, kTail);
    } else {
        d.lanes.bound(v.l, 0, lanes).vectorize(v.l);
        add.reorder(v.l, d.rows.x, v.g0).vectorize(v.l);
    }
    add.never_partition_all();
}

// Splits `axis`, along which y's elements lie side by side, into tiles that go past the cache
// (past_cache.h). The last tile is moved back to end with the axis, so it needs no guards.
struct TilesPastCache {
    Var lane{"lane"}, vectors{kPastCache}, tile{"tile"};
    TilesPastCache(Stage y, const Var &axis, int element_bytes, const CpuKnobs &knobs) {
        y.split(axis, tile, lane, kPastCacheBytes / element_bytes, TailStrategy::ShiftInwards);
        y.split(lane, vectors, lane, knobs.store_vector).vectorize(lane);
    }
};

// The stores of y: vectors along the plane, or across groups where planes are tiny. tail: of the
// last vector of a plane. Returns the loop over a plane.
inline Var pointwise(Stage y, const Axes &v, PlaneClass planes, const CpuKnobs &knobs, TailStrategy tail = kTail) {
    if (planes == PlaneClass::Tiny) {
        y.reorder(v.g0, v.s).vectorize(v.g0, knobs.store_vector, kTail);
        return v.s;
    }
    Var row("row"), lane("lane");
    y.split(v.s, row, lane, knobs.store_vector, tail).vectorize(lane);
    if (knobs.store_unroll > 1) y.unroll(row, knobs.store_unroll, kTail);
    return row;
}

// The pointwise part. apart, past_cache: the conditions by which y is none of the inputs and its
// stores go past the cache, or undefined.
inline void apply(PlaneClass planes, const Axes &v, Func y, const CpuKnobs &knobs, const Expr &apart,
                  const Expr &past_cache, const std::vector<Expr> &variants) {
    const Expr S = y.output_buffer().dim(0).extent();
    const int bytes = y.types()[0].bytes();
    // loop: the loop over a plane. elements: how many it takes a step.
    const auto parts_of_planes = [&](Stage stage, const Var &loop, int elements) {
        // Parts of a plane are as equal as steps allow. With a fixed size the last part would be
        // short, and would step through its missing elements too.
        const int of_part = std::max(knobs.part_vectors * knobs.store_vector / elements, 1);
        const Expr steps = (S + elements - 1) / elements, parts = (steps + of_part - 1) / of_part;
        Var part("part"), step("step");
        stage.split(loop, part, step, (steps + parts - 1) / parts, kTail).reorder(step, part, v.g0, v.r, v.g1);
        stage.parallel(v.g1).parallel(v.r).parallel(v.g0).parallel(part);
        specialize(stage, variants);
    };
    const auto blocks_of_planes = [&](Stage stage, const auto &loops) {
        // Vectors across the groups of tiny planes: blocks of as many vectors as there are groups
        // for, as equal as can be. In blocks of a fixed size the missing vectors would be stepped
        // through, at each position.
        const int vector = knobs.store_vector, most = std::max(knobs.group_block / vector, 1);
        const Expr vectors = (y.output_buffer().dim(2).extent() + vector - 1) / vector;
        const Expr blocks = max((vectors + most - 1) / most, 1), of_block = (vectors + blocks - 1) / blocks * vector;
        Var block("block");
        stage.split(v.g0, block, v.g0, planes == PlaneClass::Tiny ? max(of_block, vector) : Expr(knobs.group_block),
                    kTail);
        stage.reorder(v.s, v.g0, block, v.r, v.g1);
        stage.parallel(v.g1).parallel(v.r).parallel(block).never_partition(block);
        loops(stage);
        specialize(stage, variants);
    };
    if (past_cache.defined()) {
        Stage past = y.specialize(past_cache && S * bytes >= kPastCacheBytes);
        if (planes == PlaneClass::Large) {
            parts_of_planes(past, TilesPastCache(past, v.s, bytes, knobs).tile, kPastCacheBytes / bytes);
        } else {
            blocks_of_planes(past, [&](Stage stage) { TilesPastCache(stage, v.s, bytes, knobs); });
        }
    }
    if (apart.defined() && planes == PlaneClass::Small) {
        // The last vector of a plane is moved back to end with it, because masked stores are slow
        // on some CPUs (docs/performance.md). In place, elements would be computed from what they
        // overwrote.
        blocks_of_planes(y.specialize(apart && S >= knobs.store_vector),
                         [&](Stage stage) { pointwise(stage, v, planes, knobs, TailStrategy::ShiftInwards); });
    }
    if (planes == PlaneClass::Large) {
        parts_of_planes(y, pointwise(y, v, planes, knobs), knobs.store_vector);
    } else {
        blocks_of_planes(y, [&](Stage stage) { pointwise(stage, v, planes, knobs); });
    }
}

}  // namespace cpu
}  // namespace hnorm
