// backward_apply: the pointwise half of backward, with given sums (over all machines, or of several groups).
#include "kernel.h"

namespace hnorm {

class BackwardApply : public Kernel<BackwardApply> {
public:
    Input<Buffer<float, 4>> x{"x"}, dy{"dy"};
    Input<Buffer<double, 2>> mean{"mean"}, variance{"variance"};
    Input<Buffer<float, 2>> gamma{"gamma"};
    Input<Buffer<double, 2>> g1{"g1"}, g2{"g2"}, count{"count"};
    Input<double> eps{"eps"};
    Output<Buffer<float, 4>> dx{"dx"};

    void generate() {
        coef = gradient_coefficients(v, mean(v.g0, v.g1), variance(v.g0, v.g1), gamma(v.g0, v.g1), g1(v.g0, v.g1),
                                     g2(v.g0, v.g1), count(v.g0, v.g1), eps);
        dx(v.s, v.r, v.g0, v.g1) = gradient(x(v.s, v.r, v.g0, v.g1), dy(v.s, v.r, v.g0, v.g1), coef(v.g0, v.g1));
    }

    void schedule() {
        tensors(x, dy, dx);
        group_inputs(x, mean, variance, gamma, g1, g2, count);
        if (channels_last(planes)) {
            cpu::apply_last(v, coef, dx, knobs());
        } else {
            cpu::apply(planes, v, coef, dx, knobs());
        }
    }

private:
    Axes v;
    Func coef;
};

}  // namespace hnorm

HALIDE_REGISTER_GENERATOR(hnorm::BackwardApply, backward_apply)
