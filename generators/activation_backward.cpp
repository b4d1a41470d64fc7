// activation_backward: y, dy, slope -> dz, the gradient before the activation that y came from:
// what backward takes for dy where a residual was added, so that the sign cannot be recomputed from
// x.
#include "kernel.h"

namespace hnorm {

class ActivationBackward : public Kernel<ActivationBackward> {
public:
    Elements y{"y"}, dy{"dy"};
    Input<int32_t> slope{"slope"};  // Slope
    ElementsOut dz{"dz"};

    void configure() {
        of_elements(y, dy, dz);
        for_device();
    }

    void generate() {
        dz(v.s, v.r, v.g0, v.g1) =
            stored(activated_gradient(values(y)(v.s, v.r, v.g0, v.g1), values(dy)(v.s, v.r, v.g0, v.g1), {slope}));
    }

    void schedule() {
        tensors(y, dy, dz);
        apply_scheduled(v, dz, 0);
    }

private:
    Axes v;
};

}  // namespace hnorm

HALIDE_REGISTER_GENERATOR(hnorm::ActivationBackward, activation_backward)
