// moments: x -> mean and M2 of each group (the count is known from the shape); on devices x, divisor -> mean and M2/divisor.
#include "kernel.h"

namespace hnorm {

class MomentsKernel : public Kernel<MomentsKernel> {
public:
    GeneratorParam<bool> split{"split", false};  // work inside groups (few large ones) rather than across them
    Elements x{"x"};
    GeneratorInput<double> *divisor =
        nullptr;  // on devices: of M2, which is divided by it; the count gives the variance

    void configure() {
        of_elements(x);
        results.add(*this, "mean", "m2");
        if (on_device()) divisor = add_input<double>("divisor");
        for_device();
    }

    void generate() {
        reduction = moments(values(x), positions(x), x.dim(1).extent(), planes, times(), steps());
        const Axes &v = reduction.v;
        const Expr m2 = reduction.m2(v.g0, v.g1);
        results.define(v, reduction.mean(v.g0, v.g1), divisor ? m2 / *divisor : m2);
    }

    void schedule() {
        summed(x);
        results.of_shape(x);
        reduce_scheduled(reduction, results.funcs(), split);
    }

private:
    GroupResults results;
    Moments reduction;
};

}  // namespace hnorm

HALIDE_REGISTER_GENERATOR(hnorm::MomentsKernel, moments)
