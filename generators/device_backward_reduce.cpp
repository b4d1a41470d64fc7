// device_backward_reduce: x, dy, mean, a, b, slope, variance, gamma, eps -> the sums of dy and of dy*(x - mean) of each group, and m,
// scale, k1, power, k2 of backward's pointwise part, by these sums. dy is taken behind the activation's gradient, which a and b are of.
#include "kernel.h"

namespace hnorm {

class DeviceBackwardReduce : public Kernel<DeviceBackwardReduce> {
public:
    GeneratorParam<bool> narrow{"narrow", false};  // few channels
    Elements x{"x"}, dy{"dy"};
    Input<Buffer<double, 2>> mean{"mean"};
    Input<Buffer<float, 2>> a{"a"}, b{"b"};
    Input<int32_t> slope{"slope"};  // Slope
    Input<Buffer<double, 2>> variance{"variance"};
    Input<Buffer<float, 2>> gamma{"gamma"};
    Input<double> eps{"eps"};
    Output<Func> out{"out", {Float(64), Float(64), Float(32), Float(32), Float(32), Float(32), Float(32)}, 2};

    void configure() {
        of_elements(x, dy);
        for_device();
    }

    void generate() {
        const Axes v;
        const Groups groups(planes, narrow, x.dim(0).extent(), x.dim(1).extent(), x.dim(2).extent());
        const Expr g0 = groups.whole_of(v.g0);
        const Gate gate = {a(g0, v.g1), b(g0, v.g1), {slope}, times()};
        const Tuple sums = device_gradient_sums(reduction, values(x), values(dy), gate, mean, groups);
        const Expr weight = cast<double>(gamma(v.g0, v.g1));
        const Tuple of_group = gradient_coefficients(mean(v.g0, v.g1), variance(v.g0, v.g1), gamma(v.g0, v.g1),
                                                     weight * sums[0], weight * sums[1], groups.size(), eps, times());
        out(v.g0, v.g1) = Tuple(sums[0], sums[1], of_group[0], of_group[1], of_group[2], of_group[3], of_group[4]);
    }

    void schedule() {
        tensors(x, dy);
        group_inputs(x, mean, a, b, variance, gamma);
        group_results(x, out);
        gpu::reduce(reduction, out, planes, narrow, gpu_knobs());
    }

private:
    DeviceReduction reduction;
};

}  // namespace hnorm

HALIDE_REGISTER_GENERATOR(hnorm::DeviceBackwardReduce, device_backward_reduce)
