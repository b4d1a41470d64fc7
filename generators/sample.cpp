// sample: x, scale -> the center of each group and its spread's bits, of x*scale (docs/order.md, "The sample"). On CPUs the places of
// the sample's rows, which are the same for all groups, are an input: computing them takes longer than a small group.
#include "kernel.h"

namespace hnorm {

class SampleKernel : public Kernel<SampleKernel> {
public:
    Elements x{"x"};
    Input<Buffer<float, 2>> scale{"scale"};
    GeneratorInput<Buffer<int32_t, 2>> *places = nullptr;  // (plane or position, row)
    Output<Func> out{"out", {Float(32), Int(32)}, 2};      // center, spread

    void configure() {
        of_elements(x);
        if (!on_device()) places = add_input<Buffer<int32_t, 2>>("places");
    }

    void generate() {
        const Axes v;
        const Expr S = positions(x), N = x.dim(1).extent();
        Func scaled("scaled"), of_rows("places");
        scaled(v.s, v.r, v.g0, v.g1) = values(x)(v.s, v.r, v.g0, v.g1) * scale(v.g0, v.g1);
        Var i("i");
        if (places) {
            of_rows(i) = Tuple((*places)(0, i), (*places)(1, i));
        } else {
            of_rows(i) = place_sampled(i, S, N, planes);
        }
        sample = sample_of(scaled, of_rows, rows_sampled(S, N, planes), S, N, planes);
        out(sample.v.g0, sample.v.g1) = Tuple(sample.center, sample.spread);
    }

    void schedule() {
        summed(x);
        group_inputs(x, scale);
        group_results(x, out);
        if (scheduled_otherwise()) return;
        if (on_device()) {
            gpu::sample(sample, out, gpu_knobs());
        } else {
            cpu::sample(sample, out, knobs());
        }
    }

private:
    Sample sample;
};

}  // namespace hnorm

HALIDE_REGISTER_GENERATOR(hnorm::SampleKernel, sample)
