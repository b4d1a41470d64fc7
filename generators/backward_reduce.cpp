// backward_reduce: x, dy, mean, variance, gamma, beta, eps, slope -> the sums of dy and of dy*(x - mean) of each group. dy is
// taken behind the activation's gradient; where slope is 1, variance, gamma, beta and eps do not matter.
#include "kernel.h"

namespace hnorm {

class BackwardReduce : public Kernel<BackwardReduce> {
public:
    GeneratorParam<bool> split{"split", false};  // work inside groups (few large ones) rather than across them
    Elements x{"x"}, dy{"dy"};
    Input<Buffer<double, 2>> mean{"mean"}, variance{"variance"};
    Input<Buffer<float, 2>> gamma{"gamma"}, beta{"beta"};
    Input<double> eps{"eps"};
    Input<int32_t> slope{"slope"};  // Slope

    void configure() {
        of_elements(x, dy);
        results.add(*this, "sum_dy", "sum_dy_xmu");
        for_device();
    }

    void generate() {
        const Axes v;
        const Gate gated = gate(v, mean(v.g0, v.g1), variance(v.g0, v.g1), gamma(v.g0, v.g1), beta(v.g0, v.g1), eps,
                                Slope{slope}, times());
        reduction = gradient_sums(values(x), values(dy), gated, mean(v.g0, v.g1), positions(x), x.dim(1).extent(),
                                  planes, steps());
        results.define(v, reduction.sum_dy, reduction.sum_dy_xmu);
    }

    void schedule() {
        summed(x, dy);
        group_inputs(x, mean, variance, gamma, beta);
        results.of_shape(x);
        reduce_scheduled(reduction, results.funcs(), split);
    }

private:
    GroupResults results;
    GradientSums reduction;
};

}  // namespace hnorm

HALIDE_REGISTER_GENERATOR(hnorm::BackwardReduce, backward_reduce)
