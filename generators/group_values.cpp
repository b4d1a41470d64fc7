// What the runtime computes of a group's values on the host, for arrays that lie on a device:
// kernels of devices alone. One value a group, (g0, g1), or one a channel of the values of
// `samples` samples.
#include "kernel.h"

namespace hnorm {

template <typename T>
class GroupKernel : public Kernel<T> {
protected:
    Axes v;

    // The sum over samples, ascending, of what is at (g0, sample); from the first one's or, where
    // `from_zero`, from 0.
    template <typename At>
    static Expr over_samples(const Axes &v, const Expr &samples, const Expr &from_zero, const std::string &name,
                             At at) {
        RDom n(1, max(samples - 1, 0), name + "_samples");
        Func sum(name);
        const Expr first = at(v.g1);
        sum(v.g0, v.g1) = select(from_zero, cast<double>(0) + first, first);
        sum(v.g0, v.g1) += at(n);
        return sum(v.g0, v.g1);
    }
    // The sum, from 0, over the channels of (g0, g1)'s group, ascending.
    template <typename At>
    static Expr over_channels(const Axes &v, const Expr &together, const std::string &name, At at) {
        RDom d(0, together, name + "_channels");
        Func sum(name);
        sum(v.g0, v.g1) = cast<double>(0);
        sum(v.g0, v.g1) += at(v.g0 / together * together + d);
        return sum(v.g0, v.g1);
    }
    template <typename... Ins>
    static void any_stride(Ins &...ins) {
        (ins.dim(0).set_stride(Expr()), ...);
    }
    template <typename Out>
    void one_a_thread(Out &out) {
        gpu::for_groups(Func(out), v);
    }
};

// value -> out
class Fill : public GroupKernel<Fill> {
public:
    Input<double> value{"value"};
    GeneratorOutput<Func> *out = nullptr;
    GeneratorParam<bool> of_doubles{"of_doubles", true};

    void configure() { out = add_output<Func>("out", of_doubles ? Float(64) : Float(32), 2); }
    void generate() { (*out)(v.g0, v.g1) = of_doubles ? Expr(value) : cast<float>(value); }
    void schedule() { one_a_thread(*out); }
};

// in -> out, float to double
class Widen : public GroupKernel<Widen> {
public:
    Input<Buffer<float, 2>> in{"in"};
    Output<Buffer<double, 2>> out{"out"};

    void generate() { out(v.g0, v.g1) = cast<double>(in(v.g0, v.g1)); }
    void schedule() {
        any_stride(in);
        one_a_thread(out);
    }
};

// mean, variance, gamma, beta, eps -> m, a, b of the pointwise part
class Coefficients : public GroupKernel<Coefficients> {
public:
    Input<Buffer<double, 2>> mean{"mean"}, variance{"variance"};
    Input<Buffer<float, 2>> gamma{"gamma"}, beta{"beta"};
    Input<double> eps{"eps"};
    Output<Func> out{"out", {Float(32), Float(32), Float(32)}, 2};

    void configure() { for_device(); }
    void generate() {
        out(v.g0, v.g1) =
            coefficients(mean(v.g0, v.g1), variance(v.g0, v.g1), gamma(v.g0, v.g1), beta(v.g0, v.g1), eps, times());
    }
    void schedule() {
        any_stride(mean, variance, gamma, beta);
        one_a_thread(out);
    }
};

// mean, variance, gamma, g1, g2, count, eps, weigh -> m, scale, k1, power, k2 of backward's
// pointwise part. weigh: 1 where g1 and g2 are a group's own sums, of dy and of dy*(x - mean),
// still without gamma.
class GradientCoefficients : public GroupKernel<GradientCoefficients> {
public:
    Input<Buffer<double, 2>> mean{"mean"}, variance{"variance"};
    Input<Buffer<float, 2>> gamma{"gamma"};
    Input<Buffer<double, 2>> g1{"g1"}, g2{"g2"}, count{"count"};
    Input<double> eps{"eps"};
    Input<int32_t> weigh{"weigh"};
    Output<Func> out{"out", {Float(32), Float(32), Float(32), Float(32), Float(32)}, 2};

    void configure() { for_device(); }
    void generate() {
        const Expr weight = select(weigh != 0, cast<double>(gamma(v.g0, v.g1)), cast<double>(1));
        out(v.g0, v.g1) =
            gradient_coefficients(mean(v.g0, v.g1), variance(v.g0, v.g1), gamma(v.g0, v.g1), weight * g1(v.g0, v.g1),
                                  weight * g2(v.g0, v.g1), count(v.g0, v.g1), eps, times());
    }
    void schedule() {
        any_stride(mean, variance, gamma, g1, g2, count);
        one_a_thread(out);
    }
};

// sum_dy, sum_dy_xmu, gamma, samples, total -> g1, g2 (docs/order.md, "Backward"), of samples that
// have sums and a gamma of their own, and the count, as gradient_coefficients takes them.
class Weigh : public GroupKernel<Weigh> {
public:
    Input<Buffer<double, 2>> sum_dy{"sum_dy"}, sum_dy_xmu{"sum_dy_xmu"};
    Input<Buffer<float, 2>> gamma{"gamma"};
    Input<int32_t> samples{"samples"};
    Input<double> total{"total"};
    Output<Func> out{"out", {Float(64), Float(64), Float(64)}, 2};

    void configure() { for_device(); }
    void generate() {
        const auto weighted = [&](Input<Buffer<double, 2>> &sums, const std::string &name) {
            return over_samples(v, samples, cast<bool>(true), name,
                                [&](Expr n) { return times()(cast<double>(gamma(v.g0, n)), sums(v.g0, n)); });
        };
        out(v.g0, v.g1) = Tuple(weighted(sum_dy, "of_dy"), weighted(sum_dy_xmu, "of_dy_xmu"), total);
    }
    void schedule() {
        any_stride(sum_dy, sum_dy_xmu, gamma);
        one_a_thread(out);
    }
};

// sum_dy, sum_dy_xmu, variance, eps, samples, before -> dgamma, dbeta: after what was there before.
// samples: whose gradients are one, their sum; 1 where every group has its own. keep: 1 to add, 0
// to replace.
class ParameterGradients : public GroupKernel<ParameterGradients> {
public:
    Input<Buffer<double, 2>> sum_dy{"sum_dy"}, sum_dy_xmu{"sum_dy_xmu"}, variance{"variance"};
    Input<Buffer<float, 2>> dgamma{"dgamma"}, dbeta{"dbeta"};
    Input<double> eps{"eps"};
    Input<int32_t> samples{"samples"}, keep{"keep"};
    Output<Func> out{"out", {Float(32), Float(32)}, 2};

    void configure() { for_device(); }
    void generate() {
        const Expr gamma_gradient = over_samples(v, samples, cast<bool>(false), "of_gamma", [&](Expr n) {
            return times()(sum_dy_xmu(v.g0, n), invstd(variance(v.g0, n), eps));
        });
        const Expr beta_gradient =
            over_samples(v, samples, cast<bool>(false), "of_beta", [&](Expr n) { return sum_dy(v.g0, n); });
        out(v.g0, v.g1) = Tuple(gradient_after(dgamma(v.g0, v.g1), gamma_gradient, keep),
                                gradient_after(dbeta(v.g0, v.g1), beta_gradient, keep));
    }
    void schedule() {
        any_stride(sum_dy, sum_dy_xmu, variance);
        one_a_thread(out);
    }
};

// running_mean, running_variance, mean, variance, samples, weights, correction -> the running
// statistics after a step in training (runtime/src/layer.h has the same for the host).
class Track : public GroupKernel<Track> {
public:
    Input<Buffer<double, 2>> running_mean{"running_mean"}, running_variance{"running_variance"}, mean{"mean"},
        variance{"variance"};
    Input<int32_t> samples{"samples"};
    Input<double> weight_before{"weight_before"}, weight{"weight"}, correction{"correction"};
    Output<Func> out{"out", {Float(64), Float(64)}, 2};

    void configure() { for_device(); }
    void generate() {
        const auto average = [&](Input<Buffer<double, 2>> &values, const std::string &name) {
            return over_samples(v, samples, cast<bool>(true), name, [&](Expr n) { return values(v.g0, n); }) /
                   cast<double>(samples);
        };
        const auto after = [&](Input<Buffer<double, 2>> &running, const Expr &value) {
            return running_after(running(v.g0, v.g1), value, weight_before, weight, times());
        };
        out(v.g0, v.g1) = Tuple(after(running_mean, average(mean, "of_mean")),
                                after(running_variance, average(variance, "of_variance") * correction));
    }
    void schedule() { one_a_thread(out); }
};

// mean, m2 of `size` elements of a channel of a sample, together, divisor -> those of its group, M2
// / divisor (docs/order.md, "Groups of channels").
class MergeChannels : public GroupKernel<MergeChannels> {
public:
    Input<Buffer<double, 2>> mean{"mean"}, m2{"m2"};
    Input<int32_t> together{"together"};
    Input<double> size{"size"}, divisor{"divisor"};
    Output<Func> out{"out", {Float(64), Float(64)}, 2};

    void configure() { for_device(); }
    void generate() {
        const Expr mean_of_group =
            over_channels(v, together, "of_mean", [&](Expr c) { return mean(c, v.g1); }) / cast<double>(together);
        const Expr within = over_channels(v, together, "of_m2", [&](Expr c) { return m2(c, v.g1); });
        const Expr between = over_channels(v, together, "of_offsets", [&](Expr c) {
            const Expr offset = mean(c, v.g1) - mean_of_group;
            return times()(offset, offset);
        });
        out(v.g0, v.g1) = Tuple(mean_of_group, (within + times()(size, between)) / divisor);
    }
    void schedule() {
        any_stride(mean, m2);
        one_a_thread(out);
    }
};

// sum_dy, sum_dy_xmu, gamma, together -> g1, g2 of the group of each channel of a sample
class WeighChannels : public GroupKernel<WeighChannels> {
public:
    Input<Buffer<double, 2>> sum_dy{"sum_dy"}, sum_dy_xmu{"sum_dy_xmu"};
    Input<Buffer<float, 2>> gamma{"gamma"};
    Input<int32_t> together{"together"};
    Output<Func> out{"out", {Float(64), Float(64)}, 2};

    void configure() { for_device(); }
    void generate() {
        const auto weighted = [&](Input<Buffer<double, 2>> &sums, const std::string &name) {
            return over_channels(v, together, name,
                                 [&](Expr c) { return times()(cast<double>(gamma(c, v.g1)), sums(c, v.g1)); });
        };
        out(v.g0, v.g1) = Tuple(weighted(sum_dy, "of_dy"), weighted(sum_dy_xmu, "of_dy_xmu"));
    }
    void schedule() {
        any_stride(sum_dy, sum_dy_xmu, gamma);
        one_a_thread(out);
    }
};

// in, together -> each group's value for each of its channels
class RepeatChannels : public GroupKernel<RepeatChannels> {
public:
    Input<Buffer<double, 2>> in{"in"};
    Input<int32_t> together{"together"};
    Output<Buffer<double, 2>> out{"out"};

    void generate() { out(v.g0, v.g1) = in(v.g0 / together, v.g1); }
    void schedule() {
        any_stride(in);
        one_a_thread(out);
    }
};

}  // namespace hnorm

HALIDE_REGISTER_GENERATOR(hnorm::Fill, fill)
HALIDE_REGISTER_GENERATOR(hnorm::Widen, widen)
HALIDE_REGISTER_GENERATOR(hnorm::Coefficients, coefficients)
HALIDE_REGISTER_GENERATOR(hnorm::GradientCoefficients, gradient_coefficients)
HALIDE_REGISTER_GENERATOR(hnorm::Weigh, weigh)
HALIDE_REGISTER_GENERATOR(hnorm::ParameterGradients, parameter_gradients)
HALIDE_REGISTER_GENERATOR(hnorm::Track, track)
HALIDE_REGISTER_GENERATOR(hnorm::MergeChannels, merge_channels)
HALIDE_REGISTER_GENERATOR(hnorm::WeighChannels, weigh_channels)
HALIDE_REGISTER_GENERATOR(hnorm::RepeatChannels, repeat_channels)
