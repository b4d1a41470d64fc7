// forward: x, gamma, beta, eps, slope (, residual) -> y, mean, variance of each group. One pass over memory: a group's
// moments are taken while its data is in cache for the pointwise part.
#include "kernel.h"

namespace hnorm {

class Forward : public Kernel<Forward> {
public:
    GeneratorParam<bool> with_residual{"with_residual", false};  // added before the activation
    Elements x{"x"};
    Input<Buffer<float, 2>> gamma{"gamma"}, beta{"beta"};
    Input<double> eps{"eps"};
    Input<int32_t> slope{"slope"};  // Slope
    GeneratorInput<Buffer<>> *residual = nullptr;
    ElementsOut y{"y"};
    Output<Buffer<double, 2>> mean{"mean"}, variance{"variance"};

    void configure() {
        of_elements(x, y);
        if (with_residual) residual = add_input<Buffer<>>("residual", storage_type(element), 4);
    }

    void generate() {
        reduction = moments(values(x), x.dim(0).extent(), x.dim(1).extent(), planes, times());
        const Axes &v = reduction.v;
        const Expr mu = reduction.mean(v.g0, v.g1), var = reduction.m2(v.g0, v.g1) / reduction.total;
        coef = coefficients(v, mu, var, gamma(v.g0, v.g1), beta(v.g0, v.g1), eps, times());
        Expr z = normalized(values(x)(v.s, v.r, v.g0, v.g1), coef(v.g0, v.g1), times());
        if (residual) z = z + values(*residual)(v.s, v.r, v.g0, v.g1);
        y(v.s, v.r, v.g0, v.g1) = stored(activated(z, {slope}));
        mean(v.g0, v.g1) = mu;
        variance(v.g0, v.g1) = var;
    }

    void schedule() {
        tensors(x, y);
        if (residual) tensors(x, *residual);
        group_inputs(x, gamma, beta);
        group_results(x, mean, variance);
        if (scheduled_otherwise()) return;
        cpu::reduce_and_apply_groups(reduction, coef, y, {mean, variance}, knobs());
    }

private:
    Moments reduction;
    Func coef;
};

}  // namespace hnorm

HALIDE_REGISTER_GENERATOR(hnorm::Forward, forward)
