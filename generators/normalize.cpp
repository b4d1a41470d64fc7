// normalize: x, mean, variance, gamma, beta, eps -> y. The pointwise part alone, with given statistics.
#include "kernel.h"

namespace hnorm {

class Normalize : public Kernel<Normalize> {
public:
    Input<Buffer<float, 4>> x{"x"};
    Input<Buffer<double, 2>> mean{"mean"}, variance{"variance"};
    Input<Buffer<float, 2>> gamma{"gamma"}, beta{"beta"};
    Input<double> eps{"eps"};
    Output<Buffer<float, 4>> y{"y"};

    void generate() {
        coef = coefficients(v, mean(v.g0, v.g1), variance(v.g0, v.g1), gamma(v.g0, v.g1), beta(v.g0, v.g1), eps);
        y(v.s, v.r, v.g0, v.g1) = normalized(x(v.s, v.r, v.g0, v.g1), coef(v.g0, v.g1));
    }

    void schedule() {
        tensors(x, y);
        group_inputs(x, mean, variance, gamma, beta);
        if (channels_last(planes)) {
            cpu::apply_last(v, coef, y, knobs());
        } else {
            cpu::apply(planes, v, coef, y, knobs());
        }
    }

private:
    Axes v;
    Func coef;
};

}  // namespace hnorm

HALIDE_REGISTER_GENERATOR(hnorm::Normalize, normalize)
