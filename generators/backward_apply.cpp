// backward_apply: the pointwise half of backward, with given sums (over all machines, or of several groups). On devices total, if
// not 0, says that g1 and g2 are the group's own sums, of dy and of dy*(x - mean), and is the count.
#include "kernel.h"

namespace hnorm {

class BackwardApply : public Kernel<BackwardApply> {
public:
    Elements x{"x"}, dy{"dy"};
    Input<Buffer<double, 2>> mean{"mean"}, variance{"variance"};
    Input<Buffer<float, 2>> gamma{"gamma"}, beta{"beta"};
    Input<Buffer<double, 2>> g1{"g1"}, g2{"g2"}, count{"count"};
    Input<double> eps{"eps"};
    Input<int32_t> slope{"slope"};  // Slope
    GeneratorInput<double> *total = nullptr;
    ElementsOut dx{"dx"};

    void configure() {
        of_elements(x, dy, dx);
        if (on_device()) total = add_input<double>("total");
        for_device();
    }

    void generate() {
        const Expr mu = mean(v.g0, v.g1), var = variance(v.g0, v.g1), scale = gamma(v.g0, v.g1);
        gated = gate(v, mu, var, scale, beta(v.g0, v.g1), eps, Slope{slope}, times());
        const auto weighted = [&](const Expr &sum) {
            return total ? select(*total != 0, times()(cast<double>(scale), sum), sum) : sum;
        };
        const Expr given = count(v.g0, v.g1), n = total ? select(*total != 0, *total, given) : given;
        coef = gradient_coefficients(v, mu, var, scale, weighted(g1(v.g0, v.g1)), weighted(g2(v.g0, v.g1)), n, eps,
                                     times());
        dx(v.s, v.r, v.g0, v.g1) = stored(
            gradient(v, values(x)(v.s, v.r, v.g0, v.g1), values(dy)(v.s, v.r, v.g0, v.g1), gated, coef(v.g0, v.g1)));
    }

    void schedule() {
        tensors(x, dy, dx);
        group_inputs(x, mean, variance, gamma, beta, g1, g2, count);
        apply_scheduled(v, {coef, gated.coef}, dx);
    }

private:
    Axes v;
    Gate gated;
    Func coef;
};

}  // namespace hnorm

HALIDE_REGISTER_GENERATOR(hnorm::BackwardApply, backward_apply)
