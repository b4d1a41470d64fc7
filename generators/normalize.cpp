// normalize: x, m, a, b, slope (, residual) -> y. The pointwise part, by coefficients of each
// group.
#include "kernel.h"

namespace hnorm {

class Normalize : public Kernel<Normalize> {
public:
    GeneratorParam<bool> with_residual{"with_residual", false};  // added before the activation
    Elements x{"x"};
    Input<Buffer<float, 2>> m{"m"}, a{"a"}, b{"b"};
    Input<int32_t> slope{"slope"};  // Slope
    GeneratorInput<Buffer<>> *residual = nullptr;
    ElementsOut y{"y"};

    void configure() {
        of_elements(x, y);
        if (with_residual) residual = add_input<Buffer<>>("residual", storage_type(element), 4);
        for_stores();
        for_device();
    }

    void generate() {
        const Expr centered = values(x)(v.s, v.r, v.g0, v.g1) - m(v.g0, v.g1);
        Expr z = normalized(centered, a(v.g0, v.g1), b(v.g0, v.g1), times());
        if (residual) z = z + values(*residual)(v.s, v.r, v.g0, v.g1);
        y(v.s, v.r, v.g0, v.g1) = stored(activated(z, {slope}));
    }

    void schedule() {
        tensors(x, y);
        if (residual) tensors(x, *residual);
        pointwise_group_inputs(x, m, a, b);
        apply_scheduled(v, y, 3);
    }

private:
    Axes v;
};

}  // namespace hnorm

HALIDE_REGISTER_GENERATOR(hnorm::Normalize, normalize)
