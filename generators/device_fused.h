// Kernels that sum groups, make their coefficients and write y or dx in one program of the device
// (docs/gpu.md, "Fused kernels"). A block of the device takes some neighbouring groups from the
// sums to the stores. Two kinds of results come from one loop over blocks: tensors, and values of
// groups.
#pragma once

#include "../schedules/gpu_fused.h"
#include "device_layer.h"
#include "kernel.h"

namespace hnorm {

template <typename T>
class FusedKernel : public Kernel<T> {
protected:
    // Group g0 of block g1: what sums and coefficients see. Groups beyond the last are the last
    // once more; nothing of them is written.
    template <typename X>
    void see_blocks(const X &x, const gpu::AtOnce &elements) {
        together = this->gpu_knobs().fused_groups;
        taken = elements.within(this->planes, together);
        // Channels that a thread takes at once stay together.
        const int V = channels_last(this->planes) ? taken.elements : 1;
        C = x.dim(2).extent() / V * V;
        tiles = (C + together - 1) / together;
        S = x.dim(0).extent();
        N = x.dim(1).extent();
        g0 = min(v.g1 % tiles * together + v.g0 / V * V, C - V) + v.g0 % V;
        g1 = unsafe_promise_clamped(v.g1 / tiles, 0, x.dim(3).extent() - 1);
    }
    Groups block_groups() const { return Groups(this->planes, false, S, N, together, true); }
    Func of_block(const Func &tensor) const {
        Func seen("of_block");
        seen(v.s, v.r, v.g0, v.g1) = tensor(v.s, v.r, g0, g1);
        return seen;
    }
    template <typename Values>
    Expr of_block(const Values &values) const {
        return values(g0, g1);
    }
    // A block's values, at the group (g0, g1) of the tensor.
    Tuple of_group(const Func &values) const { return values(v.g0 % together, v.g0 / together + tiles * v.g1); }

    // Only one of the two values is computed: a residual that is not there is not read.
    static Expr choice(const Expr &condition, const Expr &yes, const Expr &no) {
        return Internal::Call::make(yes.type(), Internal::Call::if_then_else, {condition, yes, no},
                                    Internal::Call::PureIntrinsic);
    }

    // `values`: of a block's groups, besides the results.
    template <typename X>
    void fused(const X &x, Func tensor, Func out, std::vector<Func> values = {}) {
        this->wanted_results(x, out);
        values.push_back(results);
        gpu::fused(reduction, values, out, tensor, this->planes, this->gpu_knobs(), taken);
        this->get_pipeline().add_custom_lowering_pass(new gpu::EveryBlockRuns);
        this->take_vectors();
    }

    Axes v;
    Func results{"results"};  // of a block's groups
    DeviceReduction reduction;

private:
    int together = 0;
    gpu::AtOnce taken;  // at once
    Expr S, N, C, tiles, g0, g1;
};

}  // namespace hnorm
