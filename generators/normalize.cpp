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
        y(v.s, v.r, v.g0, v.g1) = normalized(x(v.s, v.r, v.g0, v.g1), coef.value(v.g0, v.g1));
    }

    void schedule() {
        like(x, x);
        like(x, y);
        per_group_input(x, mean);
        per_group_input(x, variance);
        per_group_input(x, gamma);
        per_group_input(x, beta);
        cpu::normalize(planes, v, coef, y, knobs());
    }

private:
    Axes v;
    Coefficients coef;
};

}  // namespace hnorm

HALIDE_REGISTER_GENERATOR(hnorm::Normalize, normalize)
