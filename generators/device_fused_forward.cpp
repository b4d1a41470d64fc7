// device_fused_forward: x, gamma, beta, eps, slope, residual, running statistics -> y, and of each
// group mean, variance and the new running statistics.
#include "device_fused.h"

namespace hnorm {

class DeviceFusedForward : public FusedKernel<DeviceFusedForward> {
public:
    Elements x{"x"};
    Input<Buffer<float, 2>> gamma{"gamma"}, beta{"beta"};
    Input<double> eps{"eps"};
    Input<int32_t> slope{"slope"};  // Slope
    Input<int32_t> adds{"adds"};    // 1 where there is a residual, else 0, and the residual is any tensor
    Elements residual{"residual"};
    KeptStatistics kept;
    ElementsOut y{"y"};
    Output<Func> out{"out", {Float(64), Float(64), Float(64), Float(64)}, 2};

    void configure() {
        of_elements(x, residual, y);
        for_device();
    }

    void generate() {
        see_blocks(x, at_once());
        const Groups groups = block_groups();
        const Tuple moments = device_moments(reduction, of_block(values(x)), groups, times());
        const Expr mean = moments[0], variance = moments[1] / groups.size();
        const Tuple forward = coefficients(mean, variance, of_block(gamma), of_block(beta), eps, times());
        results(v.g0, v.g1) = Tuple(mean, variance, forward[0], forward[1], forward[2]);

        const Tuple by = of_group(results);
        const Expr z = normalized(values(x)(v.s, v.r, v.g0, v.g1) - by[2], by[3], by[4], times());
        const Expr added = z + values(residual)(v.s, v.r, v.g0, v.g1);
        y(v.s, v.r, v.g0, v.g1) = stored(activated(choice(adds != 0, added, z), {slope}));
        out(v.g0, v.g1) = joined({{by[0], by[1]}, kept.after(by[0], by[1], times())});
    }

    void schedule() {
        tensors(x, residual, y);
        group_inputs(x, gamma, beta, kept.running_mean, kept.running_variance);
        fused(x, y, out);
    }
};

}  // namespace hnorm

HALIDE_REGISTER_GENERATOR(hnorm::DeviceFusedForward, device_fused_forward)
