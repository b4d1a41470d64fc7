// What backward behind a residual takes where dz is not wanted as elements of 16 bits, which would
// round it: kernels of devices alone. On the CPU runtime/src/wide_gradient.cpp does it.
#include "kernel.h"

namespace hnorm {

// y, dy, slope -> dz as floats; with slope 1 it is dy as floats.
class WideGradient : public Kernel<WideGradient> {
public:
    Elements y{"y"}, dy{"dy"};
    Input<int32_t> slope{"slope"};  // Slope
    Output<Buffer<float, 4>> dz{"dz"};

    void configure() {
        of_elements(y, dy);
        for_device();
    }
    void generate() {
        dz(v.s, v.r, v.g0, v.g1) =
            activated_gradient(values(y)(v.s, v.r, v.g0, v.g1), values(dy)(v.s, v.r, v.g0, v.g1), {slope});
    }
    void schedule() {
        tensors(y, dy, dz);
        apply_scheduled(v, dz, 0);
    }

private:
    Axes v;
};

// in -> out, floats to elements
class Narrow : public Kernel<Narrow> {
public:
    Input<Buffer<float, 4>> in{"in"};
    ElementsOut out{"out"};

    void configure() { of_elements(out); }
    void generate() { out(v.s, v.r, v.g0, v.g1) = stored(in(v.s, v.r, v.g0, v.g1)); }
    void schedule() {
        tensors(in, out);
        apply_scheduled(v, out, 0);
    }

private:
    Axes v;
};

}  // namespace hnorm

HALIDE_REGISTER_GENERATOR(hnorm::WideGradient, wide_gradient)
HALIDE_REGISTER_GENERATOR(hnorm::Narrow, narrow)
