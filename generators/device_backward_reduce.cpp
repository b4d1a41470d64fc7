// device_backward_reduce: x, dy, mean, variance, gamma, beta, eps, slope, dgamma, dbeta, keep ->
// the sums of dy and of dy*(x - mean) of each group; m, scale, k1, power, k2 of backward's
// pointwise part, by these sums, and its a, b; and the new dgamma and dbeta. dy is taken behind the
// activation's gradient.
#include "device_layer.h"
#include "kernel.h"

namespace hnorm {

class DeviceBackwardReduce : public Kernel<DeviceBackwardReduce> {
public:
    GeneratorParam<bool> few_channels{"few_channels", false};
    Elements x{"x"}, dy{"dy"};
    Input<Buffer<double, 2>> mean{"mean"}, variance{"variance"};
    Input<Buffer<float, 2>> gamma{"gamma"}, beta{"beta"};
    Input<double> eps{"eps"};
    Input<int32_t> slope{"slope"};  // Slope
    KeptGradients kept;
    Output<Func> out{"out",
                     {Float(64), Float(64), Float(32), Float(32), Float(32), Float(32), Float(32), Float(32), Float(32),
                      Float(32), Float(32)},
                     2};

    void configure() {
        of_elements(x, dy);
        for_device();
    }

    void generate() {
        const Groups groups(planes, few_channels, x.dim(0).extent(), x.dim(1).extent(), x.dim(2).extent());
        const Expr g0 = unsafe_promise_clamped(v.g0, 0, x.dim(2).extent() - 1);  // as in `values`
        const Expr of_mean = mean(g0, v.g1), of_variance = variance(g0, v.g1), of_gamma = gamma(g0, v.g1);
        const Tuple forward = coefficients(of_mean, of_variance, of_gamma, beta(g0, v.g1), eps, times());
        for (Func f : {first_gates, gates}) f(v.g0, v.g1) = Tuple(forward[1], forward[2]);
        const auto gate = [&](const Func &of) { return Gate{groups.at(of, 0), groups.at(of, 1), {slope}, times()}; };
        const Tuple sums =
            device_gradient_sums(reduction, values(x), values(dy), gate(first_gates), gate(gates), mean, groups);
        reduction.of_first = {first_gates};
        const Expr weight = cast<double>(of_gamma);
        const Tuple backward = gradient_coefficients(of_mean, of_variance, of_gamma, weight * sums[0], weight * sums[1],
                                                     groups.size(), eps, times());
        out(v.g0, v.g1) = joined({sums.as_vector(), backward.as_vector(), elements(gates, {v.g0, v.g1}),
                                  kept.after(sums[0], sums[1], of_variance, eps, times())});
    }

    void schedule() {
        tensors(x, dy);
        group_inputs(x, mean, variance, gamma, beta, kept.dgamma, kept.dbeta);
        wanted_results(x, out);
        gpu::reduce(reduction, out, {gates}, planes, few_channels, gpu_knobs(), at_once(kMostOfTwo));
        take_vectors();
    }

private:
    Axes v;
    Func first_gates{"first_gates"}, gates{"gates"};
    DeviceReduction reduction;
};

}  // namespace hnorm

HALIDE_REGISTER_GENERATOR(hnorm::DeviceBackwardReduce, device_backward_reduce)
