// What a group's probe says (docs/order.md, "The probe"). The places of its rows, which are the
// same for all groups, are an input: computing them takes longer than a small group.
#include "kernel.h"

namespace hnorm {

// x, scale, places -> the center of each group and its spread's bits, of x*scale
class ProbeKernel : public Kernel<ProbeKernel> {
public:
    Elements x{"x"};
    Input<Buffer<float, 2>> scale{"scale"};
    Input<Buffer<int32_t, 2>> places{"places"};        // (plane or position, row)
    Output<Func> out{"out", {Float(32), Int(32)}, 2};  // center, spread

    void configure() { of_elements(x); }
    void generate() {
        const Axes v;
        const Expr S = x.dim(0).extent(), N = x.dim(1).extent(), count = rows_probed(S, N, planes);
        Func of_rows("places_of_rows");  // apart from the input's name, for schedules that compute it
        Var i("i");
        of_rows(i) = Tuple(places(0, i), places(1, i));
        const auto scaled = [&](const Expr &s, const Expr &r) {
            return values(x)(s, r, v.g0, v.g1) * scale(v.g0, v.g1);
        };
        const Expr first = scaled(0, 0);
        const Chunks::Terms terms = [&](Expr s, Expr r) {
            const Expr difference = scaled(s, r) - first;
            return std::vector<Expr>{difference, magnitude(difference)};
        };
        probe = probe_of(terms, of_rows, count, S, N, planes);
        const Expr mean = cast<double>(probe.results[0]) / cast<double>(count * probed_neighbours(planes));
        out(v.g0, v.g1) = Tuple(cast<float>(cast<double>(first) + mean), probe.results[1]);
    }
    void schedule() {
        tensors(x);
        group_inputs(x, scale);
        group_results(x, out);
        if (!scheduled_otherwise()) cpu::probe(probe, out, knobs());
    }

private:
    Probe probe;
};

}  // namespace hnorm

HALIDE_REGISTER_GENERATOR(hnorm::ProbeKernel, probe)
