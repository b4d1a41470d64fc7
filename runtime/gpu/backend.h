// A device as a backend: what the operations (forward.h, backward.h) are made of there. The steps
// are those of the CPU (cpu.h), in the same order of summation (docs/order.md).
#pragma once

#include <array>
#include <initializer_list>
#include <utility>

#include "backward.h"
#include "elements.h"

namespace hnorm::gpu {

struct Gpu;

// Arrays of floats of groups in working memory, each a result of a kernel: m, a, b of forward's
// pointwise part; m, scale, k1, power, k2 of backward's.
template <int kArrays>
class FloatArrays {
public:
    explicit FloatArrays(const Gpu &on);

    hnorm_status reserve(int64_t groups);
    float *operator[](int i) const { return scratch_[i].template as<float>(); }
    int64_t stride_n = 0;  // between samples; 0: shared by all

private:
    template <int... kAny>
    static std::array<Scratch, kArrays> make(Driver &driver, std::integer_sequence<int, kAny...>) {
        return {((void)kAny, Scratch(driver))...};
    }

    const Gpu &on_;
    std::array<Scratch, kArrays> scratch_;
};

// A call on a device: where it runs, and what it runs there.
struct Gpu : Call {
    template <typename T>
    class Memory {
    public:
        explicit Memory(const Gpu &on) : on_(on), scratch_(on.driver) {}
        hnorm_status reserve(int64_t count) {
            return scratch_.reserve(on_.function, count * static_cast<int64_t>(sizeof(T)));
        }
        T *data() const { return scratch_.template as<T>(); }

    private:
        const Gpu &on_;
        Scratch scratch_;
    };
    using Coefficients = FloatArrays<3>;
    using Gradient = FloatArrays<5>;
    // The sign of the activation: a and b of forward's pointwise part, which come with the sums of
    // backward. If the slope is 1, they have no effect.
    struct Gate {
        explicit Gate(const Gpu &on) : forward(on), a{on.constants.one_float, 0, 0}, b{on.constants.zero_float, 0, 0} {}
        void take_forward() {
            a = {forward[1], forward.stride_n};
            b = {forward[2], forward.stride_n};
            is_known = true;
        }
        Coefficients forward;
        Values<float> a, b;
        float slope = 1;
        bool is_known = false;
    };
    // Values of groups that a kernel writes and nobody reads: one place for all of them.
    class Unwanted {
    public:
        explicit Unwanted(const Gpu &on) : on_(on), memory_(on) {}
        hnorm_status reserve() { return memory_.reserve(1); }
        // Those of the view, or this place if there are none.
        On<GroupBuffer> or_else(double *values, const View &view) const { return at(values, memory_.data(), view); }
        On<GroupBuffer> or_else(float *values, const View &view) const {
            return at(values, reinterpret_cast<float *>(memory_.data()), view);
        }

    private:
        template <typename T>
        On<GroupBuffer> at(T *values, T *place, const View &view) const {
            return On<GroupBuffer>(on_, values ? values : place, view, values ? view.g0.extent : 0, values ? 1 : 0);
        }

        const Gpu &on_;
        Memory<double> memory_;
    };
    // Kernels read statistics of channels: those of groups of channels are repeated.
    class ChannelStatistics {
    public:
        explicit ChannelStatistics(const Gpu &on) : on_(on), mean_(on), variance_(on) {}
        hnorm_status repeat(const CheckedTensor &x, Normalization *by);

    private:
        const Gpu &on_;
        Memory<double> mean_, variance_;
    };

    // Forward and backward as one launch each (fused.cpp), where the table's dispatch values say
    // so.
    static constexpr bool kFuses = true;
    bool fuses(const Forward &a) const;
    bool fuses(const Backward &b) const;
    hnorm_status fused(const Forward &a) const;
    hnorm_status fused(const Backward &b) const;

    // All at once: a launch fills the device.
    template <typename Compute>
    hnorm_status for_blocks(const CheckedTensor &x, const Grouping &, int, const Compute &compute) const {
        return compute(all_of(x));
    }
    bool goes_past_cache(const CheckedTensor &, std::initializer_list<const CheckedTensor *>, bool = false) const {
        return false;
    }
    Values<double> constant(double value) const { return {value == 0 ? constants.zero : constants.one, 0, 0}; }
    static Values<float> no_beta() { return {nullptr, 0, 0}; }
    hnorm_status check_counts(const double *, int64_t) const { return HNORM_OK; }
    hnorm_status weigh(const Backward &, const Slice &, const GroupSums &) const { return HNORM_OK; }

    hnorm_status fill(double *values, int64_t count, double value) const;
    hnorm_status fill(float *values, int64_t count, float value) const;
    hnorm_status widen(const float *values, int64_t count, double *to) const;
    // Repeats each of `from`, one a group, for the neighbours that the view has of it.
    hnorm_status repeat(const double *from, const View &groups, int64_t together, double *to) const;

    hnorm_status moments(const CheckedTensor &x, const Grouping &group, double divisor, double *mean, double *m2) const;
    hnorm_status statistics(const CheckedTensor &x, const Forward &a, const Normalization &by, double *mean,
                            double *variance, Coefficients *coefficients) const;
    static bool has_tracked(const Forward &a) { return own_step(a) != nullptr; }
    hnorm_status coefficients(const CheckedTensor &x, const Normalization &by, Coefficients *coefficients) const;
    hnorm_status normalize(const CheckedTensor &x, const Coefficients &by, const PostOps &post, const CheckedTensor &y,
                           bool) const;

    hnorm_status activation_backward(const CheckedTensor &y, const CheckedTensor &dy, float slope,
                                     const CheckedTensor &dz) const;
    hnorm_status wide_gradient(const CheckedTensor &y, const CheckedTensor &dy, float slope,
                               const CheckedTensor &dz) const;
    hnorm_status narrow(const CheckedTensor &from, const CheckedTensor &to) const;

    static hnorm_status gate(const CheckedTensor &, const Normalization &, float slope, Gate *gate) {
        gate->slope = slope;
        return HNORM_OK;
    }
    hnorm_status reduce(const CheckedTensor &x, const CheckedTensor &dy, const Normalization &by, const Backward *b,
                        const GroupSums &sums, Gate *gate, Gradient *gradient) const;
    // `count` is one a group, or of all groups. weigh: the sums are still to be multiplied by
    // gamma.
    hnorm_status gradient(const CheckedTensor &x, const Normalization &by, const WeightedSums &sums, bool weigh,
                          Gradient *gradient) const;
    hnorm_status gradient(const CheckedTensor &x, const Normalization &by, const Grouping &group,
                          const Values<double> &count, const GroupSums &sums, Gradient *gradient) const;
    hnorm_status gradient(const CheckedTensor &x, const Normalization &by, const Grouping &group, double count,
                          const GroupSums &sums, Gradient *gradient) const;
    hnorm_status constant_gradient(const CheckedTensor &x, const Normalization &by, Gate *gate,
                                   Gradient *gradient) const;
    hnorm_status apply(const CheckedTensor &x, const CheckedTensor &dy, const Gradient &by, const Gate &gate,
                       const CheckedTensor &dx, bool) const;
    hnorm_status parameter_gradients(const Backward &b, const GroupSums &sums) const;
    hnorm_status track(const Track &step) const;

private:
    // Moments, and the coefficients by gamma and beta of the groups. step: of their running
    // statistics, or null.
    hnorm_status moments(const CheckedTensor &x, const Grouping &group, const AffineView &affine, double eps,
                         double divisor, const Track *step, double *mean, double *m2, Coefficients *coefficients) const;
    // Whether the groups of statistics are those that have gamma and beta. Kernels that make
    // statistics make the coefficients then.
    static bool are_own(const Forward &a) {
        return a.group.together == 1 && (a.group.by == HNORM_INSTANCE || !a.affine.per_sample());
    }
    // The step that they do, too, or null: they know nothing of averages over samples.
    static const Track *own_step(const Forward &a) {
        return a.track && a.track->samples == 1 && are_own(a) ? a.track : nullptr;
    }
    // Whether the groups of the sums share parameters, whose gradients a program of its own adds.
    static bool shares_parameters(const Backward &b) {
        return b.wants_parameters() && b.summed().by == HNORM_INSTANCE && !b.per_sample && b.x.n > 1;
    }
    // Backward's sums of each channel of groups of channels, weighed and added.
    hnorm_status gradient_of_parts(const CheckedTensor &x, const Normalization &by, const Grouping &group, double count,
                                   const GroupSums &sums, Gradient *gradient) const;
    // gamma and beta with constants for absent ones.
    AffineView present(const AffineView &affine) const;
};

// The groups of values: one for each channel of each sample, or one for each channel.
inline View channels_of(const CheckedTensor &x, bool per_sample) {
    return {nullptr, HNORM_F32, {}, {}, {x.c, 1}, per_sample ? Axis{x.n, x.c} : Axis{}};
}

// Values as a kernel reads them.
template <typename T>
On<GroupBuffer> read(const Call &on, const Values<T> &values, const View &view) {
    return On<GroupBuffer>(on, values.data, view, values.stride_n, values.stride_c);
}

template <int kArrays>
FloatArrays<kArrays>::FloatArrays(const Gpu &on)
    : on_(on), scratch_(make(on.driver, std::make_integer_sequence<int, kArrays>())) {}
template <int kArrays>
hnorm_status FloatArrays<kArrays>::reserve(int64_t groups) {
    for (Scratch &scratch : scratch_) {
        HNORM_TRY(scratch.reserve(on_.function, groups * static_cast<int64_t>(sizeof(float))));
    }
    return HNORM_OK;
}

}  // namespace hnorm::gpu
