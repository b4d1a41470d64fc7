// What all generators share: the parameters and the shape constraints of their buffers.
#pragma once

#include "../schedules/cpu.h"
#include "algorithm.h"
#include "element.h"
#include "gradients.h"

namespace hnorm {

template <typename T>
class Kernel : public Generator<T> {
public:
    // Tensors of elements: x, y and their gradients.
    using Elements = GeneratorInput<Buffer<void, 4>>;
    using ElementsOut = GeneratorOutput<Buffer<void, 4>>;

    GeneratorParam<Element> element{"element", Element::F32, element_names()};
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

    // Every generator's configure() calls this with its tensors.
    template <typename... Xs>
    void of_elements(Xs &...xs) const {
        (xs.set_type(storage_type(element)), ...);
    }

    // The elements of x as floats, and a float as an element.
    template <typename X>
    Func values(const X &x) const {
        Func result("values");
        result(_) = to_float(x(_), element, this->get_target());
        return result;
    }
    Expr stored(const Expr &value) const { return from_float(value, element, this->get_target()); }

    // Tensors of x's shape: stride 1 in s, any elsewhere.
    template <typename X, typename... Ys>
    static void tensors(X &x, Ys &...ys) {
        like(x, x);
        (like(x, ys), ...);
    }

    // A value a group: stride 1 in g0 when written, any stride, 0 included, when read.
    template <typename X, typename... Ys>
    static void group_results(X &x, Ys &...ys) {
        (per_group(x, ys), ...);
    }
    template <typename X, typename... Ys>
    static void group_inputs(X &x, Ys &...ys) {
        (per_group(x, ys), ...);
        (ys.dim(0).set_stride(Expr()), ...);
    }

private:
    template <typename X, typename Y>
    static void like(X &x, Y &y) {
        for (int i = 0; i < 4; i++) y.dim(i).set_bounds(0, x.dim(i).extent());
    }
    template <typename X, typename Y>
    static void per_group(X &x, Y &y) {
        for (int i = 0; i < 2; i++) y.dim(i).set_bounds(0, x.dim(2 + i).extent());
    }
};

}  // namespace hnorm
