// moments: x -> mean and M2 of each group (the count is known from the shape).
#include "kernel.h"

namespace hnorm {

class MomentsKernel : public Kernel<MomentsKernel> {
public:
    GeneratorParam<bool> split{"split", false};  // work inside groups (few large ones) rather than across them
    Elements x{"x"};
    Output<Buffer<double, 2>> mean{"mean"}, m2{"m2"};

    void configure() { of_elements(x); }

    void generate() {
        reduction = moments(values(x), x.dim(0).extent(), x.dim(1).extent(), planes);
        const Axes &v = reduction.v;
        mean(v.g0, v.g1) = reduction.mean(v.g0, v.g1);
        m2(v.g0, v.g1) = reduction.m2(v.g0, v.g1);
    }

    void schedule() {
        tensors(x);
        group_results(x, mean, m2);
        if (scheduled_otherwise()) return;
        if (channels_last(planes)) {
            cpu::reduce_last(reduction, {mean, m2}, knobs());
        } else if (split) {
            cpu::reduce_split(reduction, knobs());
        } else {
            cpu::reduce_groups(reduction, {mean, m2}, knobs());
        }
    }

private:
    Moments reduction;
};

}  // namespace hnorm

HALIDE_REGISTER_GENERATOR(hnorm::MomentsKernel, moments)
