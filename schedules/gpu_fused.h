// How the fused kernels run on GPUs (docs/gpu.md): a block takes some groups from the sums to the
// stores.
#pragma once

#include "gpu.h"

#include <map>
#include <string>
#include <vector>

namespace hnorm {
namespace gpu {

// The two results of a fused kernel have one loop over blocks (compute_with), and Halide guards the
// body of each by a condition: that the block is one of its own. It does not see that every block
// is, and puts barriers behind that condition too. PoCL copies all that follows such a barrier,
// once for each, and takes minutes. This pass makes the condition one that compilers see is true.
class EveryBlockRuns : public Internal::IRMutator {
    using Internal::IRMutator::visit;

    std::map<std::string, Expr> blocks_;  // of the loops around

    Internal::Stmt visit(const Internal::For *op) override {
        if (op->for_type != Internal::ForType::GPUBlock) return IRMutator::visit(op);
        blocks_[op->name] = op->extent;
        const Internal::Stmt result = IRMutator::visit(op);
        blocks_.erase(op->name);
        return result;
    }
    // block + 1 <= blocks
    Expr visit(const Internal::LE *op) override {
        const auto *sum = op->a.as<Internal::Add>();
        const auto *block = sum && Internal::is_const_one(sum->b) ? sum->a.as<Internal::Variable>() : nullptr;
        const auto found = block ? blocks_.find(block->name) : blocks_.end();
        const bool holds = found != blocks_.end() && Internal::equal(op->b, found->second);
        // Not a constant: Halide 21 writes OpenCL code that names it and does not define it.
        return holds ? Internal::LE::make(op->b, op->b) : IRMutator::visit(op);
    }
};

// The sums over the runs of a block's groups, some runs side by side. A thread takes a lane of a
// chunk.
inline void sum_in_block(GroupSum &sum, LoopLevel block, int groups, int runs, const AtOnce &at_once) {
    Reduction &d = sum.by_run;
    const Axes &v = d.v;
    RVar step("step"), run("run");
    if (sum.any.defined()) sum.any.compute_at(block).bound_extent(v.g1, 1);
    in_block(sum.total, v, block, groups);
    sum.total.update()
        .split(sum.runs.x, step, run, runs, kTail)
        .reorder(run, v.g0, step)
        .gpu_threads(v.g0)
        .never_partition_all();
    const LoopLevel at(sum.total, step);
    d.runs.compute_at(at).bound_extent(v.g1, 1);
    d.runs.bound_storage(v.g0, groups).bound_storage(v.a, runs);
    threads_of_runs(d.runs, d.planes, v.g0, v.a, at_once);
    d.run.compute_at(d.runs, v.g0);
    lanes_of_threads(d, at, groups, runs, at_once);
}

// All threads of a block write its elements, side by side in memory. `tile`: the loop over blocks
// along g0. It is not fused with that along g1: of the second of two results Halide would not see
// which block a fused loop is at.
inline void store_in_block(Func y, const Axes &v, const Var &tile, PlaneClass planes, int groups,
                           const BlockThreads &threads, const AtOnce &at_once) {
    Var group("group"), at("at"), element("element");
    const bool last = channels_last(planes);
    if (at_once.elements > 1) {
        const Var adjacent = last ? v.g0 : v.s;
        at_once.take(y.split(adjacent, adjacent, element, at_once.elements).reorder(element, v.s), element);
    }
    y.split(v.g0, tile, group, last ? groups / at_once.elements : groups, kTail);
    if (last) {
        y.reorder(group, v.s, v.r, tile, v.g1).fuse(group, v.s, at).fuse(at, v.r, at);
    } else {
        y.reorder(v.s, v.r, group, tile, v.g1).fuse(v.s, v.r, at).fuse(at, group, at);
    }
    y.gpu_blocks(tile, v.g1);
    threads.share(y, at);
}

inline void fused(DeviceReduction &d, const std::vector<Func> &values, Func out, Func y, PlaneClass planes,
                  const GpuKnobs &knobs, const AtOnce &at_once) {
    const Axes v;
    const int groups = knobs.fused_groups, runs = runs_side_by_side(planes, groups, knobs.fused_threads);
    const BlockThreads threads(planes, groups, runs, at_once);
    Var tile("tile"), group("group");
    store_in_block(y, v, tile, planes, groups, threads, at_once);
    out.split(v.g0, tile, group, groups, kTail).gpu_threads(group).gpu_blocks(tile, v.g1).compute_with(y, tile);
    const LoopLevel block(y, tile);
    if (d.has_probe) probe_in_block(d.probe, planes, block, groups, threads);
    for (GroupSum &sum : d.sums) sum_in_block(sum, block, groups, runs, at_once);
    for (Func f : d.of_group) in_block(f, v, block, groups);
    for (Func f : values) in_block(f, v, block, groups);
    if (!d.has_probe) return;
    Func again = d.probe_again.lanes;
    again.compute_at(d.of_group[1], v.g0).bound(v.l, 0, probed_neighbours(planes)).unroll(v.l);
    again.update().reorder(v.l, d.probe_again.rows.x).unroll(v.l);
}

}  // namespace gpu
}  // namespace hnorm
