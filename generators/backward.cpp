// backward: x, dy, mean, variance, gamma, eps -> dx and the sums of dy and of dy*(x - mean) of each group, which is kept in
// cache between the sums and the pointwise part.
#include "kernel.h"

namespace hnorm {

class Backward : public Kernel<Backward> {
public:
    Elements x{"x"}, dy{"dy"};
    Input<Buffer<double, 2>> mean{"mean"}, variance{"variance"};
    Input<Buffer<float, 2>> gamma{"gamma"};
    Input<double> eps{"eps"};
    ElementsOut dx{"dx"};
    Output<Buffer<double, 2>> sum_dy{"sum_dy"}, sum_dy_xmu{"sum_dy_xmu"};

    void configure() { of_elements(x, dy, dx); }

    void generate() {
        const Axes v;
        reduction =
            gradient_sums(values(x), values(dy), mean(v.g0, v.g1), x.dim(0).extent(), x.dim(1).extent(), planes);
        const Expr scale = cast<double>(gamma(v.g0, v.g1));
        coef = gradient_coefficients(v, mean(v.g0, v.g1), variance(v.g0, v.g1), gamma(v.g0, v.g1),
                                     scale * reduction.sum_dy, scale * reduction.sum_dy_xmu, reduction.total, eps);
        dx(v.s, v.r, v.g0, v.g1) =
            stored(gradient(values(x)(v.s, v.r, v.g0, v.g1), values(dy)(v.s, v.r, v.g0, v.g1), coef(v.g0, v.g1)));
        sum_dy(v.g0, v.g1) = reduction.sum_dy;
        sum_dy_xmu(v.g0, v.g1) = reduction.sum_dy_xmu;
    }

    void schedule() {
        tensors(x, dy, dx);
        group_inputs(x, mean, variance, gamma);
        group_results(x, sum_dy, sum_dy_xmu);
        cpu::reduce_and_apply_groups(reduction, coef, dx, {sum_dy, sum_dy_xmu}, knobs());
    }

private:
    GradientSums reduction;
    Func coef;
};

}  // namespace hnorm

HALIDE_REGISTER_GENERATOR(hnorm::Backward, backward)
