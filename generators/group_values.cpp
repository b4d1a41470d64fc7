// What the runtime computes of a group's values on the host, for arrays that lie on a device: kernels of devices alone. One
// value a group, (g0, g1), or one a channel of the values of `samples` samples.
#include "kernel.h"

namespace hnorm {

template <typename T>
class GroupKernel : public Kernel<T> {
protected:
    Axes v;

    // The sum over samples, ascending, of what is at (g0, sample); from the first one's or, where `from_zero`, from 0.
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
        in.dim(0).set_stride(Expr());
        one_a_thread(out);
    }
};

// sum_dy, sum_dy_xmu, gamma, samples, total -> g1, g2 (docs/order.md, "Backward") and the count, as backward_apply takes them.
// samples: of which each has sums and a gamma of its own, 0 where every group has.
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
            return over_samples(v, samples, samples > 0, name,
                                [&](Expr n) { return times()(cast<double>(gamma(v.g0, n)), sums(v.g0, n)); });
        };
        out(v.g0, v.g1) = Tuple(weighted(sum_dy, "of_dy"), weighted(sum_dy_xmu, "of_dy_xmu"), total);
    }
    void schedule() {
        for (auto *in : {&sum_dy, &sum_dy_xmu}) in->dim(0).set_stride(Expr());
        gamma.dim(0).set_stride(Expr());
        one_a_thread(out);
    }
};

// sum_dy, sum_dy_xmu, variance, eps, samples, before -> dgamma, dbeta: after what was there before.
// samples: whose gradients are one, their sum; 1 where every group has its own. keep: 1 to add, 0 to replace.
class ParameterGradients : public GroupKernel<ParameterGradients> {
public:
    Input<Buffer<double, 2>> sum_dy{"sum_dy"}, sum_dy_xmu{"sum_dy_xmu"}, variance{"variance"};
    Input<Buffer<float, 2>> dgamma{"dgamma"}, dbeta{"dbeta"};
    Input<double> eps{"eps"};
    Input<int32_t> samples{"samples"}, keep{"keep"};
    Output<Func> out{"out", {Float(32), Float(32)}, 2};

    void configure() { for_device(); }
    void generate() {
        const Expr gamma_gradient = cast<float>(over_samples(v, samples, cast<bool>(false), "of_gamma", [&](Expr n) {
            return times()(sum_dy_xmu(v.g0, n), cast<double>(1) / sqrt(variance(v.g0, n) + eps));
        }));
        const Expr beta_gradient = cast<float>(
            over_samples(v, samples, cast<bool>(false), "of_beta", [&](Expr n) { return sum_dy(v.g0, n); }));
        const auto after = [&](const Expr &before, const Expr &gradient) {
            return select(keep != 0, before + gradient, gradient);
        };
        out(v.g0, v.g1) = Tuple(after(dgamma(v.g0, v.g1), gamma_gradient), after(dbeta(v.g0, v.g1), beta_gradient));
    }
    void schedule() {
        for (auto *in : {&sum_dy, &sum_dy_xmu, &variance}) in->dim(0).set_stride(Expr());
        one_a_thread(out);
    }
};

// in -> out, each channel repeated for every one of the parts (docs/order.md, "Few channels")
class Repeat : public GroupKernel<Repeat> {
public:
    GeneratorInput<Buffer<void, 2>> in{"in"};
    Input<int32_t> channels{"channels"};
    GeneratorOutput<Func> *out = nullptr;
    GeneratorParam<bool> of_doubles{"of_doubles", true};

    void configure() {
        const Type type = of_doubles ? Float(64) : Float(32);
        in.set_type(type);
        out = add_output<Func>("out", type, 2);
    }
    void generate() {
        (*out)(v.g0, v.g1) = in(unsafe_promise_clamped(v.g0 % channels, 0, in.dim(0).extent() - 1), v.g1);
    }
    void schedule() {
        in.dim(0).set_stride(Expr());
        one_a_thread(*out);
    }
};

// What is done with the parts of few channels, and with what remains: 32 parts' values side by side, (part * channels + g0, g1),
// and the remainder's, (g0, g1). parts: 32, or 33 where there is a remainder.
template <typename T>
class PartsKernel : public GroupKernel<T> {
public:
    using Values = GeneratorInput<Buffer<double, 2>>;
    Values first{"first"}, second{"second"}, rest_first{"rest_first"}, rest_second{"rest_second"};
    GeneratorInput<int32_t> channels{"channels"}, parts{"parts"};

protected:
    static constexpr int kParts = 32;

    // Over all parts, in their order.
    RDom all_parts() {
        RDom part(0, kParts + 1, "parts");
        part.where(part < parts);
        return part;
    }
    Expr of_part(Values &values, Values &rest, const Expr &part) {
        const Axes &v = this->v;
        const Expr among =
            unsafe_promise_clamped(min(part, kParts - 1) * channels + v.g0, 0, values.dim(0).extent() - 1);
        return select(part < kParts, values(among, v.g1), rest(v.g0, v.g1));
    }
    Func sum_over(const RDom &part, const Expr &term, const std::string &name) {
        Func sum(name);
        sum(this->v.g0, this->v.g1) = cast<double>(0);
        sum(this->v.g0, this->v.g1) += term;
        return sum;
    }
};

// Means and M2 of the parts -> mean and M2/divisor
class MergeParts : public PartsKernel<MergeParts> {
public:
    Input<double> part_count{"part_count"}, rest_count{"rest_count"}, total{"total"}, divisor{"divisor"};
    Output<Func> out{"out", {Float(64), Float(64)}, 2};

    void configure() { for_device(); }
    void generate() {
        const RDom part = all_parts();
        const Expr count = select(part < kParts, part_count, rest_count);
        const Expr part_mean = of_part(first, rest_first, part), first_mean = of_part(first, rest_first, 0);
        const Func offset = sum_over(part, times()(part_mean - first_mean, count), "offset");
        mean(v.g0, v.g1) = first_mean + offset(v.g0, v.g1) / total;
        const Expr off = part_mean - mean(v.g0, v.g1);
        const Func m2 = sum_over(part, of_part(second, rest_second, part) + times()(count * off, off), "m2");
        out(v.g0, v.g1) = Tuple(mean(v.g0, v.g1), m2(v.g0, v.g1) / divisor);
    }
    void schedule() { one_a_thread(out); }

private:
    Func mean{"mean"};
};

// Sums over the parts -> sums over all
class AddParts : public PartsKernel<AddParts> {
public:
    Output<Func> out{"out", {Float(64), Float(64)}, 2};

    void generate() {
        const RDom part = all_parts();
        out(v.g0, v.g1) = Tuple(sum_over(part, of_part(first, rest_first, part), "sum")(v.g0, v.g1),
                                sum_over(part, of_part(second, rest_second, part), "sum_of_products")(v.g0, v.g1));
    }
    void schedule() { one_a_thread(out); }
};

// running_mean, running_variance, mean, variance, samples, weights, correction -> the running statistics after a step in
// training (runtime/src/layer.h has the same for the host).
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
            return times()(weight_before, running(v.g0, v.g1)) + times()(weight, value);
        };
        out(v.g0, v.g1) = Tuple(after(running_mean, average(mean, "of_mean")),
                                after(running_variance, average(variance, "of_variance") * correction));
    }
    void schedule() { one_a_thread(out); }
};

}  // namespace hnorm

HALIDE_REGISTER_GENERATOR(hnorm::Fill, fill)
HALIDE_REGISTER_GENERATOR(hnorm::Widen, widen)
HALIDE_REGISTER_GENERATOR(hnorm::Weigh, weigh)
HALIDE_REGISTER_GENERATOR(hnorm::ParameterGradients, parameter_gradients)
HALIDE_REGISTER_GENERATOR(hnorm::Repeat, repeat)
HALIDE_REGISTER_GENERATOR(hnorm::MergeParts, merge_parts)
HALIDE_REGISTER_GENERATOR(hnorm::AddParts, add_parts)
HALIDE_REGISTER_GENERATOR(hnorm::Track, track)
