// moments: x, center, scale, scaled -> by run, the sums of d = x*scale - center and of d*d, and the greatest |d|'s bits. Where
// scaled is 0, all scales are 1, and the greatest is left out.
#include "kernel.h"

namespace hnorm {

class MomentsKernel : public Kernel<MomentsKernel> {
public:
    Elements x{"x"};
    Input<Buffer<float, 2>> center{"center"}, scale{"scale"};
    Input<int32_t> scaled{"scaled"};
    Output<Func> runs{"runs", {Float(64), Float(64), Int(32)}, 4};

    void configure() {
        of_elements(x);
        for_device();
    }

    void generate() {
        const Axes v;
        reduction = sums_about(values(x), runs, center(v.g0, v.g1), scale(v.g0, v.g1), scaled, positions(x),
                               x.dim(1).extent(), planes, times());
    }

    void schedule() {
        summed(x);
        group_inputs(x, center, scale);
        run_results(x, reduction);
        reduce_scheduled(reduction);
    }

private:
    Reduction reduction;
};

}  // namespace hnorm

HALIDE_REGISTER_GENERATOR(hnorm::MomentsKernel, moments)
