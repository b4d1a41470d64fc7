// What all generators share: the parameters and the shape constraints of their buffers.
#pragma once

#include "../schedules/cpu.h"
#include "algorithm.h"

namespace hnorm {

template <typename T>
class Kernel : public Generator<T> {
public:
    GeneratorParam<Planes> planes{"planes", Planes::Large, planes_names()};
    GeneratorParam<int> vector{"vector", 8};
    GeneratorParam<int> store_vector{"store_vector", 8};
    GeneratorParam<int> lane_block{"lane_block", 64};
    GeneratorParam<int> row_unroll{"row_unroll", 1};
    GeneratorParam<int> store_unroll{"store_unroll", 1};
    GeneratorParam<int> group_block{"group_block", 16};
    GeneratorParam<int> part_vectors{"part_vectors", 2048};

protected:
    CpuKnobs knobs() const {
        return {vector, store_vector, lane_block, row_unroll, store_unroll, group_block, part_vectors};
    }

    // A tensor of x's shape: stride 1 in s, any elsewhere.
    template <typename X, typename Y>
    static void like(X &x, Y &y) {
        for (int i = 0; i < 4; i++) y.dim(i).set_bounds(0, x.dim(i).extent());
    }

    // A value a group: stride 1 in g0 when written, any stride, 0 included, when read.
    template <typename X, typename Y>
    static void per_group(X &x, Y &statistic) {
        for (int i = 0; i < 2; i++) statistic.dim(i).set_bounds(0, x.dim(2 + i).extent());
    }
    template <typename X, typename Y>
    static void per_group_input(X &x, Y &statistic) {
        per_group(x, statistic);
        statistic.dim(0).set_stride(Expr());
    }
};

}  // namespace hnorm
