// How the kernels run on CPUs: schedule templates, whose knobs get their values from schedules/<target>.json. Nothing here
// can change a bit of a result.
#pragma once

#include "../generators/chunks.h"
#include "cpu_knobs.h"

namespace hnorm {

namespace cpu {

constexpr auto kTail = TailStrategy::GuardWithIf;  // in place, no element may be stored twice

// A loop for each of the conditions, one of which holds.
inline void specialize(Stage stage, const std::vector<Expr> &variants) {
    for (const Expr &variant : variants) stage.specialize(variant);
    if (!variants.empty()) stage.specialize_fail("one of the variants must hold");
}

// Lanes in registers while the rows of a plane pass by; the tree right after.
inline void lane_sum(LaneSum &sum, const Axes &v, const CpuKnobs &knobs, LoopLevel where, int lanes,
                     const std::vector<Expr> &variants = {}) {
    if (lanes == 1) {  // tiny planes: vectors across groups
        sum.lanes.compute_at(where).vectorize(v.g0, knobs.vector, kTail);
        Stage rows = sum.lanes.update(0), last = sum.lanes.update(1);
        rows.reorder(v.g0, sum.rows.x, sum.rows.y);
        last.reorder(v.g0, sum.last.x);
        for (Stage s : {rows, last}) {
            s.vectorize(v.g0, knobs.vector, kTail);
            specialize(s, variants);
        }
        return;
    }
    const int type_vector = std::min(lanes, knobs.vector);
    const int block = std::min(lanes, std::max(knobs.lane_block, type_vector));
    Var lo("lo"), li("li");
    sum.lanes.compute_at(where).bound(v.l, 0, lanes).vectorize(v.l, type_vector).unroll(v.l);
    Stage rows = sum.lanes.update(0), last = sum.lanes.update(1);
    if (block < lanes) {
        rows.split(v.l, lo, li, block).reorder(li, sum.rows.x, lo, v.g0, sum.rows.y);
    } else {
        rows.reorder(v.l, sum.rows.x, v.g0, sum.rows.y).split(v.l, lo, li, lanes);
    }
    rows.vectorize(li, type_vector).unroll(li).unroll(lo);
    if (knobs.row_unroll > 1) rows.unroll(sum.rows.x, knobs.row_unroll);
    last.reorder(v.l, v.g0, sum.last.x).vectorize(v.l, type_vector).unroll(v.l);
    for (Stage s : {rows, last}) {
        s.never_partition_all();
        specialize(s, variants);
    }
    int width = lanes;
    for (Func f : sum.tree) {
        width /= 2;
        f.compute_at(where).bound(v.l, 0, width).vectorize(v.l, std::min(width, knobs.vector)).unroll(v.l);
    }
}

// The merging of chunks inside `where`; vectors across groups unless planes are large. A run's sums are made when they are added.
inline void merge_at(Reduction &d, const CpuKnobs &knobs, LoopLevel where) {
    const Axes &v = d.v;
    const bool across_groups = d.planes != Planes::Large;
    const auto in_order = [&](Func f, const std::vector<VarOrRVar> &loops) {
        if (!across_groups) return;
        f.vectorize(v.g0, knobs.vector, kTail);
        if (!loops.empty()) f.update().reorder(loops).vectorize(v.g0, knobs.vector, kTail);
    };
    for (GroupSum &sum : d.merged) {
        sum.total.compute_at(where);
        in_order(sum.total, {v.g0, sum.all.x, sum.all.y});
        sum.runs.compute_at(sum.total, sum.all.x);
        in_order(sum.runs, {v.g0, sum.chunks.x, sum.chunks.y});
    }
    for (Func f : d.of_group) {
        f.compute_at(where);
        in_order(f, {});
    }
}

// Everything that one step of the loop over chunks needs.
inline void chunk_step(Reduction &d, const CpuKnobs &knobs, LoopLevel step) {
    const Axes &v = d.v;
    const int lanes = lanes_of(d.planes);
    for (LaneSum &sum : d.sums) lane_sum(sum, v, knobs, step, lanes, d.variants);
    d.in_double.compute_at(step);
    lane_sum(d.redone, v, knobs, d.planes == Planes::Tiny ? step : LoopLevel(d.in_double, d.again.x), lanes);
    for (Func f : d.of_chunk) {
        f.compute_at(step);
        if (d.planes != Planes::Large) f.vectorize(v.g0, knobs.vector, kTail);
    }
    if (d.planes != Planes::Large) d.chunk.vectorize(v.g0, knobs.vector, kTail);
}

// The reduction of a block of groups inside `where`, the consumer's loop over blocks.
inline void reduce_at(Reduction &d, const CpuKnobs &knobs, LoopLevel where) {
    const Axes &v = d.v;
    for (Func f : d.for_chunks) {
        f.compute_at(where);
        if (d.planes != Planes::Large) f.vectorize(v.g0, knobs.vector, kTail);
        f.specialize(d.variants[0]);
    }
    d.chunk.compute_at(where);
    if (d.planes == Planes::Large) {
        d.chunk.reorder(v.k, v.m, v.g0, v.g1).never_partition_all();
    } else {
        d.chunk.reorder(v.g0, v.k, v.m, v.g1).never_partition(v.k, v.m);
    }
    chunk_step(d, knobs, LoopLevel(d.chunk, v.k));
    merge_at(d, knobs, where);
}

// The stores of y, along the plane; tiny planes along the groups. Returns the loop over a plane.
inline Var pointwise(Func y, const Axes &v, Planes planes, const CpuKnobs &knobs) {
    if (planes == Planes::Tiny) {
        y.reorder(v.g0, v.s).vectorize(v.g0, knobs.store_vector, kTail);
        return v.s;
    }
    Var row("row"), lane("lane");
    y.split(v.s, row, lane, knobs.store_vector, kTail).vectorize(lane);
    if (knobs.store_unroll > 1) y.unroll(row, knobs.store_unroll, kTail);
    return row;
}

// One group, or one block of groups, a step: its reduction, then the pointwise part while it is in cache.
inline void reduce_and_apply_groups(Reduction &d, Func coefficients, Func y, std::vector<Func> statistics,
                                    const CpuKnobs &knobs) {
    const Axes &v = d.v;
    const bool large = d.planes == Planes::Large;
    Var block("block");
    const Var loop = large ? v.g0 : block;
    if (large) {
        y.reorder(v.s, v.r, v.g0, v.g1);
    } else {
        y.split(v.g0, block, v.g0, knobs.group_block, kTail).reorder(v.s, v.g0, v.r, block, v.g1);
    }
    y.parallel(v.g1).parallel(loop);
    pointwise(y, v, d.planes, knobs);
    for (Func f : statistics) {
        if (!large) f.split(v.g0, block, v.g0, knobs.group_block, kTail).vectorize(v.g0, knobs.vector, kTail);
        f.parallel(v.g1).parallel(loop).compute_with(y, loop);
    }
    const LoopLevel where(y, loop);
    reduce_at(d, knobs, where);
    coefficients.compute_at(where);
    if (!large) coefficients.vectorize(v.g0, knobs.vector, kTail);
}

// The reduction alone, a group or a block of groups a step. Blocks are not partitioned: the code for whole ones was no faster
// than that for the last, and doubled the kernels. (In reduce_and_apply_groups it is faster, by 3 to 6% on AVX-512.)
inline void reduce_groups(Reduction &d, std::vector<Func> statistics, const CpuKnobs &knobs) {
    const Axes &v = d.v;
    const bool large = d.planes == Planes::Large;
    Var block("block");
    const Var loop = large ? v.g0 : block;
    for (Func f : statistics) {
        if (!large) f.split(v.g0, block, v.g0, knobs.group_block, kTail).vectorize(v.g0, knobs.vector, kTail);
        f.parallel(v.g1).parallel(loop).never_partition(loop);
    }
    statistics[1].compute_with(statistics[0], loop);
    reduce_at(d, knobs, LoopLevel(statistics[0], loop));
}

// Few large groups: chunks first, in parallel, then their merging.
inline void reduce_split(Reduction &d, const CpuKnobs &knobs) {
    const Axes &v = d.v;
    d.chunk.compute_root();
    if (d.planes == Planes::Large) {
        d.chunk.reorder(v.k, v.g0, v.m, v.g1).never_partition_all();
        d.chunk.parallel(v.g1).parallel(v.m).parallel(v.g0).parallel(v.k);
    } else {
        Var block("block");
        d.chunk.split(v.g0, block, v.g0, knobs.group_block, kTail).reorder(v.g0, v.k, block, v.m, v.g1);
        d.chunk.parallel(v.g1).parallel(v.m).parallel(block).never_partition(v.k, v.m, block);
    }
    chunk_step(d, knobs, LoopLevel(d.chunk, v.k));
    for (Func f : d.for_chunks) f.compute_root();
    for (GroupSum &sum : d.merged) {
        sum.total.compute_root();
        sum.runs.compute_at(sum.total, sum.all.x);
    }
    for (Func f : d.of_group) f.compute_root();
}

// The pointwise part alone.
inline void apply(Planes planes, const Axes &v, std::vector<Func> coefficients, Func y, const CpuKnobs &knobs) {
    if (planes == Planes::Large) {
        for (Func f : coefficients) f.compute_root();
        // Parts of a plane as equal as vectors allow: a fixed size would leave a short last part that steps through
        // its missing elements.
        const Expr vectors = (y.output_buffer().dim(0).extent() + knobs.store_vector - 1) / knobs.store_vector;
        const Expr parts = (vectors + knobs.part_vectors - 1) / knobs.part_vectors;
        Var part("part"), step("step");
        const Var row = pointwise(y, v, planes, knobs);
        y.split(row, part, step, (vectors + parts - 1) / parts, kTail).reorder(step, part, v.g0, v.r, v.g1);
        y.parallel(v.g1).parallel(v.r).parallel(v.g0).parallel(part);
    } else {
        Var block("block");
        y.split(v.g0, block, v.g0, knobs.group_block, kTail).reorder(v.s, v.g0, block, v.r, v.g1);
        y.parallel(v.g1).parallel(v.r).parallel(block).never_partition(block);
        pointwise(y, v, planes, knobs);
        // A block's coefficients stay in cache; tiny planes are so cheap that computing them anew for every sample shows.
        for (Func f : coefficients) {
            if (planes == Planes::Tiny) {
                f.compute_root();
            } else {
                f.compute_at(y, block);
            }
        }
    }
    for (Func f : coefficients) f.vectorize(v.g0, knobs.vector, kTail);
}

}  // namespace cpu
}  // namespace hnorm
