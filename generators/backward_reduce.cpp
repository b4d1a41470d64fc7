// backward_reduce: x, dy, m, a, b, slope -> by run, the sums of dy and of dy*(x - m). dy is taken
// behind the activation's gradient, none or a ReLU's. measured: x, dy, m, a, b, slope, scale_x,
// scale_dy -> those of dy*scale_dy and x*scale_x - m*scale_x, and the bits of the greatest
// magnitudes of these; the activation is any. Where slope is 1, a and b do not matter.
#include "kernel.h"

namespace hnorm {

class BackwardReduce : public Kernel<BackwardReduce> {
public:
    GeneratorParam<bool> measured{"measured", false};
    Elements x{"x"}, dy{"dy"};
    Input<Buffer<float, 2>> m{"m"}, a{"a"}, b{"b"};
    Input<int32_t> slope{"slope"};  // Slope
    GeneratorInput<Buffer<float, 2>> *scale_x = nullptr, *scale_dy = nullptr;
    GeneratorOutput<Func> *runs = nullptr;

    void configure() {
        of_elements(x, dy);
        std::vector<Type> types = {Float(64), Float(64)};
        if (measured) {
            scale_x = add_input<Buffer<float, 2>>("scale_x");
            scale_dy = add_input<Buffer<float, 2>>("scale_dy");
            types.insert(types.end(), {Int(32), Int(32)});
        }
        runs = add_output<Func>("runs", types, 4);
    }

    void generate() {
        const Axes v;
        const Gate gate = {a(v.g0, v.g1), b(v.g0, v.g1), {slope}, {}};
        const Chunks chunks(v, planes, x.dim(0).extent(), x.dim(1).extent());
        const Expr mean = m(v.g0, v.g1);
        reduction = measured ? gradient_sums_measured(chunks, values(x), values(dy), *runs, gate, mean,
                                                      (*scale_x)(v.g0, v.g1), (*scale_dy)(v.g0, v.g1))
                             : gradient_sums(chunks, values(x), values(dy), *runs, gate, mean);
    }

    void schedule() {
        tensors(x, dy);
        group_inputs(x, m, a, b);
        if (measured) group_inputs(x, *scale_x, *scale_dy);
        run_results(x, reduction);
        if (!scheduled_otherwise()) cpu::reduce(reduction, knobs());
    }

private:
    Reduction reduction;
};

}  // namespace hnorm

HALIDE_REGISTER_GENERATOR(hnorm::BackwardReduce, backward_reduce)
