// device_fused_backward: x, dy, mean, variance, gamma, beta, eps, slope, dgamma, dbeta, keep -> dx,
// and of each group the sums of dy and of dy*(x - mean), and the new dgamma and dbeta.
#include "device_fused.h"

namespace hnorm {

class DeviceFusedBackward : public FusedKernel<DeviceFusedBackward> {
public:
    Elements x{"x"}, dy{"dy"};
    Input<Buffer<double, 2>> mean{"mean"}, variance{"variance"};
    Input<Buffer<float, 2>> gamma{"gamma"}, beta{"beta"};
    Input<double> eps{"eps"};
    Input<int32_t> slope{"slope"};  // Slope
    KeptGradients kept;
    ElementsOut dx{"dx"};
    Output<Func> out{"out", {Float(64), Float(64), Float(32), Float(32)}, 2};

    void configure() {
        of_elements(x, dy, dx);
        for_device();
    }

    void generate() {
        see_blocks(x, at_once(kMostOfTwo));
        const Groups groups = block_groups();
        means(v.g0, v.g1) = of_block(mean);
        const Expr of_mean = means(v.g0, v.g1), of_variance = of_block(variance), weight = of_block(gamma);
        const Tuple forward = coefficients(of_mean, of_variance, weight, of_block(beta), eps, times());
        gates(v.g0, v.g1) = Tuple(forward[1], forward[2]);
        const Gate gate = {gates(v.g0, v.g1)[0], gates(v.g0, v.g1)[1], {slope}, times()};
        const Tuple sums =
            device_gradient_sums(reduction, of_block(values(x)), of_block(values(dy)), gate, gate, means, groups);
        const Expr wide = cast<double>(weight);
        const Tuple backward = gradient_coefficients(of_mean, of_variance, weight, wide * sums[0], wide * sums[1],
                                                     groups.size(), eps, times());
        results(v.g0, v.g1) = Tuple(sums[0], sums[1], backward[0], backward[1], backward[2], backward[3], backward[4],
                                    gates(v.g0, v.g1)[0], gates(v.g0, v.g1)[1]);

        const Tuple by = of_group(results);
        dx(v.s, v.r, v.g0, v.g1) =
            stored(gradient(values(x)(v.s, v.r, v.g0, v.g1) - by[2], values(dy)(v.s, v.r, v.g0, v.g1),
                            {by[7], by[8], {slope}, times()}, by[3], by[4], by[5], by[6]));
        out(v.g0, v.g1) = joined({{by[0], by[1]}, kept.after(by[0], by[1], variance(v.g0, v.g1), eps, times())});
    }

    void schedule() {
        tensors(x, dy, dx);
        group_inputs(x, mean, variance, gamma, beta, kept.dgamma, kept.dbeta);
        fused(x, dx, out, {means, gates});
    }

private:
    Func means{"means"}, gates{"gates"};
};

}  // namespace hnorm

HALIDE_REGISTER_GENERATOR(hnorm::DeviceFusedBackward, device_fused_backward)
