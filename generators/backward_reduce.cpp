// backward_reduce: x, dy, m, a, b, slope, scale_x, scale_dy, kind -> by run, the sums of dy and of dy*(x - m), scaled, and the
// greatest magnitudes of dy and x - m. dy is taken behind the activation's gradient. What the kind (gradients.h) does without
// does not matter.
#include "kernel.h"

namespace hnorm {

class BackwardReduce : public Kernel<BackwardReduce> {
public:
    Elements x{"x"}, dy{"dy"};
    Input<Buffer<float, 2>> m{"m"}, a{"a"}, b{"b"};
    Input<int32_t> slope{"slope"};  // Slope
    Input<Buffer<float, 2>> scale_x{"scale_x"}, scale_dy{"scale_dy"};
    Input<int32_t> kind{"kind"};
    Output<Func> runs{"runs", {Float(64), Float(64), Int(32), Int(32)}, 4};

    void configure() {
        of_elements(x, dy);
        for_device();
    }

    void generate() {
        const Axes v;
        const Gate gate = {a(v.g0, v.g1), b(v.g0, v.g1), {slope}, times()};
        reduction =
            gradient_sums(values(x), values(dy), runs, gate, m(v.g0, v.g1), scale_x(v.g0, v.g1),
                          scale_dy(v.g0, v.g1), kind, positions(x), x.dim(1).extent(), planes);
    }

    void schedule() {
        summed(x, dy);
        group_inputs(x, m, a, b, scale_x, scale_dy);
        run_results(x, reduction);
        reduce_scheduled(reduction);
    }

private:
    Reduction reduction;
};

}  // namespace hnorm

HALIDE_REGISTER_GENERATOR(hnorm::BackwardReduce, backward_reduce)
