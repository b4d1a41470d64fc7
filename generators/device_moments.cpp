// device_moments: x, gamma, beta, eps, divisor, running statistics -> mean and M2/divisor of each
// group; m, a, b of the pointwise part, by that as the variance; and the new running statistics.
#include "device_layer.h"
#include "kernel.h"

namespace hnorm {

class DeviceMoments : public Kernel<DeviceMoments> {
public:
    GeneratorParam<bool> few_channels{"few_channels", false};
    Elements x{"x"};
    Input<Buffer<float, 2>> gamma{"gamma"}, beta{"beta"};
    Input<double> eps{"eps"}, divisor{"divisor"};
    KeptStatistics kept;
    Output<Func> out{"out", {Float(64), Float(64), Float(32), Float(32), Float(32), Float(64), Float(64)}, 2};

    void configure() {
        of_elements(x);
        for_device();
    }

    void generate() {
        const Axes v;
        const Groups groups(planes, few_channels, x.dim(0).extent(), x.dim(1).extent(), x.dim(2).extent());
        const Tuple moments = device_moments(reduction, values(x), groups, times());
        const Expr mean = moments[0], variance = moments[1] / divisor;
        const Tuple forward = coefficients(mean, variance, gamma(v.g0, v.g1), beta(v.g0, v.g1), eps, times());
        out(v.g0, v.g1) = joined({{mean, variance}, forward.as_vector(), kept.after(mean, variance, times())});
    }

    void schedule() {
        tensors(x);
        group_inputs(x, gamma, beta, kept.running_mean, kept.running_variance);
        wanted_results(x, out);
        gpu::reduce(reduction, out, {}, planes, few_channels, gpu_knobs(), at_once());
        take_vectors();
    }

private:
    DeviceReduction reduction;
};

}  // namespace hnorm

HALIDE_REGISTER_GENERATOR(hnorm::DeviceMoments, device_moments)
