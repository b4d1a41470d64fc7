// moments: x -> mean and M2 of each group (the count is known from the shape).
#include "kernel.h"

namespace hnorm {

class Moments : public Kernel<Moments> {
public:
    GeneratorParam<bool> split{"split", false};  // work inside groups (few large ones) rather than across them
    Input<Buffer<float, 4>> x{"x"};
    Output<Buffer<double, 2>> mean{"mean"}, m2{"m2"};

    void generate() {
        reduction = reduce(x, x.dim(0).extent(), x.dim(1).extent(), planes);
        const Axes &v = reduction.v;
        mean(v.g0, v.g1) = reduction.mean(v.g0, v.g1);
        m2(v.g0, v.g1) = reduction.m2(v.g0, v.g1);
    }

    void schedule() {
        like(x, x);
        per_group(x, mean);
        per_group(x, m2);
        if (split) {
            cpu::moments_split(reduction, {mean, m2}, knobs());
        } else {
            cpu::moments_groups(reduction, {mean, m2}, knobs());
        }
    }

private:
    Reduction reduction;
};

}  // namespace hnorm

HALIDE_REGISTER_GENERATOR(hnorm::Moments, moments)
