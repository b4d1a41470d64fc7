// backward_reduce: x, dy, mean -> the sums of dy and of dy*(x - mean) of each group.
#include "kernel.h"

namespace hnorm {

class BackwardReduce : public Kernel<BackwardReduce> {
public:
    GeneratorParam<bool> split{"split", false};  // work inside groups (few large ones) rather than across them
    Input<Buffer<float, 4>> x{"x"}, dy{"dy"};
    Input<Buffer<double, 2>> mean{"mean"};
    Output<Buffer<double, 2>> sum_dy{"sum_dy"}, sum_dy_xmu{"sum_dy_xmu"};

    void generate() {
        const Axes v;
        reduction = gradient_sums(seen(x), seen(dy), mean(v.g0, v.g1), x.dim(0).extent(), x.dim(1).extent(), planes);
        sum_dy(v.g0, v.g1) = reduction.sum_dy;
        sum_dy_xmu(v.g0, v.g1) = reduction.sum_dy_xmu;
    }

    void schedule() {
        tensors(x, dy);
        group_inputs(x, mean);
        group_results(x, sum_dy, sum_dy_xmu);
        if (channels_last(planes)) {
            cpu::reduce_last(reduction, {sum_dy, sum_dy_xmu}, knobs());
        } else if (split) {
            cpu::reduce_split(reduction, knobs());
        } else {
            cpu::reduce_groups(reduction, {sum_dy, sum_dy_xmu}, knobs());
        }
    }

private:
    GradientSums reduction;
};

}  // namespace hnorm

HALIDE_REGISTER_GENERATOR(hnorm::BackwardReduce, backward_reduce)
