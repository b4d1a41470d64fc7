// forward: x, gamma, beta, eps -> y, mean, variance of each group. One pass over memory: a group's moments are taken while
// its data is in cache for the pointwise part.
#include "kernel.h"

namespace hnorm {

class Forward : public Kernel<Forward> {
public:
    Input<Buffer<float, 4>> x{"x"};
    Input<Buffer<float, 2>> gamma{"gamma"}, beta{"beta"};
    Input<double> eps{"eps"};
    Output<Buffer<float, 4>> y{"y"};
    Output<Buffer<double, 2>> mean{"mean"}, variance{"variance"};

    void generate() {
        reduction = reduce(x, x.dim(0).extent(), x.dim(1).extent(), planes);
        const Axes &v = reduction.v;
        const Expr var = reduction.m2(v.g0, v.g1) / reduction.total;
        coef = coefficients(v, reduction.mean(v.g0, v.g1), var, gamma(v.g0, v.g1), beta(v.g0, v.g1), eps);
        y(v.s, v.r, v.g0, v.g1) = normalized(x(v.s, v.r, v.g0, v.g1), coef.value(v.g0, v.g1));
        mean(v.g0, v.g1) = reduction.mean(v.g0, v.g1);
        variance(v.g0, v.g1) = var;
    }

    void schedule() {
        like(x, x);
        like(x, y);
        per_group_input(x, gamma);
        per_group_input(x, beta);
        per_group(x, mean);
        per_group(x, variance);
        cpu::forward_groups(reduction, coef, y, {mean, variance}, knobs());
    }

private:
    Reduction reduction;
    Coefficients coef;
};

}  // namespace hnorm

HALIDE_REGISTER_GENERATOR(hnorm::Forward, forward)
