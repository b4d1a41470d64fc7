// moments: x, center -> by run, the sums of d = x - center and of d*d. measured: x, center, scale
// -> those of d = x*scale - center, and the greatest |d|'s bits.
#include "kernel.h"

namespace hnorm {

class MomentsKernel : public Kernel<MomentsKernel> {
public:
    GeneratorParam<bool> measured{"measured", false};
    Elements x{"x"};
    Input<Buffer<float, 2>> center{"center"};
    GeneratorInput<Buffer<float, 2>> *scale = nullptr;
    GeneratorOutput<Func> *runs = nullptr;

    void configure() {
        of_elements(x);
        std::vector<Type> types = {Float(64), Float(64)};
        if (measured) {
            scale = add_input<Buffer<float, 2>>("scale");
            types.push_back(Int(32));
        }
        runs = add_output<Func>("runs", types, 4);
    }

    void generate() {
        const Axes v;
        const Chunks chunks(v, planes, x.dim(0).extent(), x.dim(1).extent());
        reduction =
            sums_about(chunks, values(x), *runs, center(v.g0, v.g1), scale ? Expr((*scale)(v.g0, v.g1)) : Expr());
    }

    void schedule() {
        tensors(x);
        group_inputs(x, center);
        if (scale) group_inputs(x, *scale);
        run_results(x, reduction);
        if (!scheduled_otherwise()) cpu::reduce(reduction, knobs());
    }

private:
    Reduction reduction;
};

}  // namespace hnorm

HALIDE_REGISTER_GENERATOR(hnorm::MomentsKernel, moments)
