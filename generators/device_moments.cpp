// device_moments: x, gamma, beta, eps, divisor -> mean and M2/divisor of each group, and m, a, b of the pointwise part, by that as the
// variance.
#include "kernel.h"

namespace hnorm {

class DeviceMoments : public Kernel<DeviceMoments> {
public:
    GeneratorParam<bool> narrow{"narrow", false};  // few channels
    Elements x{"x"};
    Input<Buffer<float, 2>> gamma{"gamma"}, beta{"beta"};
    Input<double> eps{"eps"}, divisor{"divisor"};
    Output<Func> out{"out", {Float(64), Float(64), Float(32), Float(32), Float(32)}, 2};

    void configure() {
        of_elements(x);
        for_device();
    }

    void generate() {
        const Axes v;
        const Groups groups(planes, narrow, x.dim(0).extent(), x.dim(1).extent(), x.dim(2).extent());
        const Tuple moments = device_moments(reduction, values(x), groups, times());
        const Expr variance = moments[1] / divisor;
        const Tuple of_group = coefficients(moments[0], variance, gamma(v.g0, v.g1), beta(v.g0, v.g1), eps, times());
        out(v.g0, v.g1) = Tuple(moments[0], variance, of_group[0], of_group[1], of_group[2]);
    }

    void schedule() {
        tensors(x);
        group_inputs(x, gamma, beta);
        group_results(x, out);
        gpu::reduce(reduction, out, planes, narrow, gpu_knobs());
    }

private:
    DeviceReduction reduction;
};

}  // namespace hnorm

HALIDE_REGISTER_GENERATOR(hnorm::DeviceMoments, device_moments)
