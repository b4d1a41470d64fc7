// activation_backward: y, dy, slope -> dz, the gradient before the activation that y came from: what backward takes for dy
// where a residual was added, so that the sign cannot be recomputed from x.
#include "kernel.h"

namespace hnorm {

class ActivationBackward : public Kernel<ActivationBackward> {
public:
    Input<Buffer<float, 4>> y{"y"}, dy{"dy"};
    Input<int32_t> slope{"slope"};  // Slope
    Output<Buffer<float, 4>> dz{"dz"};

    void generate() {
        dz(v.s, v.r, v.g0, v.g1) = activated_gradient(y(v.s, v.r, v.g0, v.g1), dy(v.s, v.r, v.g0, v.g1), {slope});
    }

    void schedule() {
        tensors(y, dy, dz);
        cpu::apply(planes, v, {}, dz, knobs());
    }

private:
    Axes v;
};

}  // namespace hnorm

HALIDE_REGISTER_GENERATOR(hnorm::ActivationBackward, activation_backward)
