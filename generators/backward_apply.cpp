// backward_apply: x, dy, m, scale, k1, power, k2, a, b, slope -> dx. The pointwise part of
// backward, by coefficients of each group; dy is taken behind the activation's gradient, which a
// and b are of.
#include "kernel.h"

namespace hnorm {

class BackwardApply : public Kernel<BackwardApply> {
public:
    Elements x{"x"}, dy{"dy"};
    Input<Buffer<float, 2>> m{"m"}, scale{"scale"}, k1{"k1"}, power{"power"}, k2{"k2"}, a{"a"}, b{"b"};
    Input<int32_t> slope{"slope"};  // Slope
    ElementsOut dx{"dx"};

    void configure() {
        of_elements(x, dy, dx);
        for_stores();
        for_device();
    }

    void generate() {
        gate = {a(v.g0, v.g1), b(v.g0, v.g1), {slope}, times()};
        const Expr centered = values(x)(v.s, v.r, v.g0, v.g1) - m(v.g0, v.g1);
        dx(v.s, v.r, v.g0, v.g1) = stored(gradient(centered, values(dy)(v.s, v.r, v.g0, v.g1), gate, scale(v.g0, v.g1),
                                                   k1(v.g0, v.g1), power(v.g0, v.g1), k2(v.g0, v.g1)));
    }

    void schedule() {
        tensors(x, dy, dx);
        pointwise_group_inputs(x, m, scale, k1, power, k2, a, b);
        apply_scheduled(v, dx, 7, {gate.slope.is_none(), !gate.slope.is_none()});
    }

private:
    Axes v;
    Gate gate;
};

}  // namespace hnorm

HALIDE_REGISTER_GENERATOR(hnorm::BackwardApply, backward_apply)
