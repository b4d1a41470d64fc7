// What a group's sample says (docs/order.md, "The sample"). The places of its rows, which are the
// same for all groups, are an input: computing them takes longer than a small group.
#include "kernel.h"

namespace hnorm {

template <typename T>
class SampleKernel : public Kernel<T> {
protected:
    GeneratorInput<Buffer<int32_t, 2>> *places = nullptr;  // (plane or position, row)

    void with_places() { places = this->template add_input<Buffer<int32_t, 2>>("places"); }
    template <typename X>
    void sample_terms(X &x, const Chunks::Terms &terms) {
        const Expr S = x.dim(0).extent(), N = x.dim(1).extent();
        Func of_rows("places_of_rows");  // apart from the input's name, for schedules that compute it
        Var i("i");
        of_rows(i) = Tuple((*places)(0, i), (*places)(1, i));
        count = rows_sampled(S, N, this->planes);
        sample = sample_of(terms, of_rows, count, S, N, this->planes);
    }
    void sample_scheduled(Func out) {
        if (!this->scheduled_otherwise()) cpu::sample(sample, out, this->knobs());
    }

    Sample sample;
    Expr count;  // of its rows
};

// x, scale -> the center of each group and its spread's bits, of x*scale
class ForwardSample : public SampleKernel<ForwardSample> {
public:
    Elements x{"x"};
    Input<Buffer<float, 2>> scale{"scale"};
    Output<Func> out{"out", {Float(32), Int(32)}, 2};  // center, spread

    void configure() {
        of_elements(x);
        with_places();
    }
    void generate() {
        const Axes v;
        const auto scaled = [&](const Expr &s, const Expr &r) {
            return values(x)(s, r, v.g0, v.g1) * scale(v.g0, v.g1);
        };
        const Expr first = scaled(0, 0);
        sample_terms(x, [&](Expr s, Expr r) {
            const Expr difference = scaled(s, r) - first;
            return std::vector<Expr>{difference, magnitude(difference)};
        });
        const Expr mean = cast<double>(sample.results[0]) / cast<double>(count * sampled_neighbours(planes));
        out(v.g0, v.g1) = Tuple(cast<float>(cast<double>(first) + mean), sample.results[1]);
    }
    void schedule() {
        tensors(x);
        group_inputs(x, scale);
        group_results(x, out);
        sample_scheduled(out);
    }
};

// x, dy, m, a, b, slope -> the bits of the greatest |dy| and |x - m|; dy is taken behind the
// activation's gradient
class BackwardSample : public SampleKernel<BackwardSample> {
public:
    Elements x{"x"}, dy{"dy"};
    Input<Buffer<float, 2>> m{"m"}, a{"a"}, b{"b"};
    Input<int32_t> slope{"slope"};  // Slope
    Output<Func> out{"out", {Int(32), Int(32)}, 2};

    void configure() {
        of_elements(x, dy);
        with_places();
    }
    void generate() {
        const Axes v;
        const Gate gate = {a(v.g0, v.g1), b(v.g0, v.g1), {slope}, {}};
        sample_terms(x, [&](Expr s, Expr r) {
            const Expr centered = values(x)(s, r, v.g0, v.g1) - m(v.g0, v.g1);
            return std::vector<Expr>{magnitude(gate.specialized(centered, values(dy)(s, r, v.g0, v.g1))),
                                     magnitude(centered)};
        });
        sample.variants = {gate.slope.is_none(), !gate.slope.is_none()};
        out(v.g0, v.g1) = Tuple(sample.results);
    }
    void schedule() {
        tensors(x, dy);
        group_inputs(x, m, a, b);
        group_results(x, out);
        sample_scheduled(out);
    }
};

}  // namespace hnorm

HALIDE_REGISTER_GENERATOR(hnorm::ForwardSample, sample)
HALIDE_REGISTER_GENERATOR(hnorm::BackwardSample, backward_sample)
