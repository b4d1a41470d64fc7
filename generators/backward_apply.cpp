// backward_apply: the pointwise half of backward, with given sums (over all machines, or of several groups).
#include "kernel.h"

namespace hnorm {

class BackwardApply : public Kernel<BackwardApply> {
public:
    Elements x{"x"}, dy{"dy"};
    Input<Buffer<double, 2>> mean{"mean"}, variance{"variance"};
    Input<Buffer<float, 2>> gamma{"gamma"};
    Input<Buffer<double, 2>> g1{"g1"}, g2{"g2"}, count{"count"};
    Input<double> eps{"eps"};
    ElementsOut dx{"dx"};

    void configure() { of_elements(x, dy, dx); }

    void generate() {
        coef = gradient_coefficients(v, mean(v.g0, v.g1), variance(v.g0, v.g1), gamma(v.g0, v.g1), g1(v.g0, v.g1),
                                     g2(v.g0, v.g1), count(v.g0, v.g1), eps);
        dx(v.s, v.r, v.g0, v.g1) =
            stored(gradient(values(x)(v.s, v.r, v.g0, v.g1), values(dy)(v.s, v.r, v.g0, v.g1), coef(v.g0, v.g1)));
    }

    void schedule() {
        tensors(x, dy, dx);
        group_inputs(x, mean, variance, gamma, g1, g2, count);
        cpu::apply(planes, v, coef, dx, knobs());
    }

private:
    Axes v;
    Func coef;
};

}  // namespace hnorm

HALIDE_REGISTER_GENERATOR(hnorm::BackwardApply, backward_apply)
