// backward: x, dy, mean, variance, gamma, beta, eps, slope -> dx and the sums of dy and of dy*(x - mean) of each group, which
// is kept in cache between the sums and the pointwise part. dy is taken behind the activation's gradient.
#include "kernel.h"

namespace hnorm {

class Backward : public Kernel<Backward> {
public:
    Elements x{"x"}, dy{"dy"};
    Input<Buffer<double, 2>> mean{"mean"}, variance{"variance"};
    Input<Buffer<float, 2>> gamma{"gamma"}, beta{"beta"};
    Input<double> eps{"eps"};
    Input<int32_t> slope{"slope"};  // Slope
    ElementsOut dx{"dx"};
    Output<Buffer<double, 2>> sum_dy{"sum_dy"}, sum_dy_xmu{"sum_dy_xmu"};

    void configure() { of_elements(x, dy, dx); }

    void generate() {
        const Axes v;
        const Expr mu = mean(v.g0, v.g1), var = variance(v.g0, v.g1), scale = gamma(v.g0, v.g1);
        const Gate gated = gate(v, mu, var, scale, beta(v.g0, v.g1), eps, Slope{slope}, times());
        reduction = gradient_sums(values(x), values(dy), gated, mu, x.dim(0).extent(), x.dim(1).extent(), planes);
        coef = gradient_coefficients(v, mu, var, scale, cast<double>(scale) * reduction.sum_dy,
                                     cast<double>(scale) * reduction.sum_dy_xmu, reduction.total, eps, times());
        dx(v.s, v.r, v.g0, v.g1) = stored(
            gradient(v, values(x)(v.s, v.r, v.g0, v.g1), values(dy)(v.s, v.r, v.g0, v.g1), gated, coef(v.g0, v.g1)));
        sum_dy(v.g0, v.g1) = reduction.sum_dy;
        sum_dy_xmu(v.g0, v.g1) = reduction.sum_dy_xmu;
    }

    void schedule() {
        tensors(x, dy, dx);
        group_inputs(x, mean, variance, gamma, beta);
        group_results(x, sum_dy, sum_dy_xmu);
        if (scheduled_otherwise()) return;
        cpu::reduce_and_apply_groups(reduction, coef, dx, {sum_dy, sum_dy_xmu}, knobs());
    }

private:
    GradientSums reduction;
    Func coef;
};

}  // namespace hnorm

HALIDE_REGISTER_GENERATOR(hnorm::Backward, backward)
