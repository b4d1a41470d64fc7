// normalize: x, mean, variance, gamma, beta, eps, slope (, residual) -> y. The pointwise part alone, with given statistics.
#include "kernel.h"

namespace hnorm {

class Normalize : public Kernel<Normalize> {
public:
    GeneratorParam<bool> with_residual{"with_residual", false};  // added before the activation
    Elements x{"x"};
    Input<Buffer<double, 2>> mean{"mean"}, variance{"variance"};
    Input<Buffer<float, 2>> gamma{"gamma"}, beta{"beta"};
    Input<double> eps{"eps"};
    Input<int32_t> slope{"slope"};  // Slope
    GeneratorInput<Buffer<>> *residual = nullptr;
    ElementsOut y{"y"};

    void configure() {
        of_elements(x, y);
        if (with_residual) residual = add_input<Buffer<>>("residual", storage_type(element), 4);
        for_device();
    }

    void generate() {
        coef =
            coefficients(v, mean(v.g0, v.g1), variance(v.g0, v.g1), gamma(v.g0, v.g1), beta(v.g0, v.g1), eps, times());
        Expr z = normalized(values(x)(v.s, v.r, v.g0, v.g1), coef(v.g0, v.g1), times());
        if (residual) z = z + values(*residual)(v.s, v.r, v.g0, v.g1);
        y(v.s, v.r, v.g0, v.g1) = stored(activated(z, {slope}));
    }

    void schedule() {
        tensors(x, y);
        if (residual) tensors(x, *residual);
        group_inputs(x, mean, variance, gamma, beta);
        apply_scheduled(v, {coef}, y);
    }

private:
    Axes v;
    Func coef;
};

}  // namespace hnorm

HALIDE_REGISTER_GENERATOR(hnorm::Normalize, normalize)
