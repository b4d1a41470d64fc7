// The CPU as a backend: what the operations (forward.h, backward.h) are made of there. Devices have
// the same functions (gpu/backend.h).
#pragma once

#include <algorithm>
#include <initializer_list>

#include "backward.h"
#include "blocks.h"
#include "coefficients.h"
#include "past_cache.h"

namespace hnorm::detail {

// A call on the CPU. Tensors are not empty. Ranges hold whole groups.
struct Cpu : CpuCall {
    // Working memory of a call.
    template <typename T>
    class Memory : public ScratchOf<T> {
    public:
        explicit Memory(const Cpu &on) : on_(on) {}
        hnorm_status reserve(int64_t count) { return ScratchOf<T>::reserve(on_.function, count); }

    private:
        const Cpu &on_;
    };
    static constexpr bool kFuses = false;  // whether an operation may be one kernel
    using Coefficients = detail::Coefficients;
    using Gradient = GradientCoefficients;
    using Gate = GateValues;
    // A device's kernels read one statistic a channel, so groups of channels have theirs repeated.
    // The CPU reads them where they are.
    struct ChannelStatistics {
        explicit ChannelStatistics(const Cpu &) {}
        hnorm_status repeat(const CheckedTensor &, Normalization *) { return HNORM_OK; }
    };

    // Calls compute(slice) for slices of whole groups that together hold x. read: how many tensors
    // like x the work reads.
    template <typename Compute>
    hnorm_status for_blocks(const CheckedTensor &x, const Grouping &group, int read, const Compute &compute) const {
        return Blocks(*this, x, group, read).for_each(function, compute);
    }
    // Whether the output y goes past the cache (past_cache.h, as whole_lines()). Null inputs are
    // absent.
    bool goes_past_cache(const CheckedTensor &y, std::initializer_list<const CheckedTensor *> inputs,
                         bool after_sums = false) const {
        return detail::goes_past_cache(dispatch(y.type), y, inputs, after_sums);
    }
    template <typename T>
    hnorm_status fill(T *values, int64_t count, T value) const {
        std::fill_n(values, count, value);
        return HNORM_OK;
    }
    hnorm_status widen(const float *values, int64_t count, double *to) const {
        std::copy_n(values, count, to);
        return HNORM_OK;
    }
    // Constants for values that all groups share.
    static Values<double> constant(double value) {
        static const double constants[] = {0, 1};
        return {constants + (value != 0), 0, 0};
    }
    static Values<float> no_beta() {
        static const float zero = 0;
        return {&zero, 0, 0};
    }

    // Statistics, one a group. M2 is divided by `divisor`.
    hnorm_status moments(const CheckedTensor &x, const Grouping &group, double divisor, double *mean, double *m2) const;
    // Does the same with the size of a group as divisor, and computes forward's coefficients. `by`
    // has the places of the statistics. A device may do the step of running statistics along with
    // them: then has_tracked() says so.
    hnorm_status statistics(const CheckedTensor &x, const Forward &a, const Normalization &by, double *mean,
                            double *variance, Coefficients *coefficients) const {
        HNORM_TRY(moments(x, a.group, static_cast<double>(a.group.size(x)), mean, variance));
        return coefficients->compute(function, x, by);
    }
    static bool has_tracked(const Forward &) { return false; }
    hnorm_status coefficients(const CheckedTensor &x, const Normalization &by, Coefficients *coefficients) const {
        return coefficients->compute(function, x, by);
    }
    hnorm_status normalize(const CheckedTensor &x, const Coefficients &by, const PostOps &post, const CheckedTensor &y,
                           bool past_cache) const;

    // dz from y and dy.
    hnorm_status activation_backward(const CheckedTensor &y, const CheckedTensor &dy, float slope,
                                     const CheckedTensor &dz) const;
    // For elements of 16 bits: the same with dz in floats, and floats rounded to such elements.
    hnorm_status wide_gradient(const CheckedTensor &y, const CheckedTensor &dy, float slope,
                               const CheckedTensor &dz) const;
    hnorm_status narrow(const CheckedTensor &from, const CheckedTensor &to) const;

    // What backward needs of forward.
    hnorm_status gate(const CheckedTensor &x, const Normalization &by, float slope, Gate *gate) const {
        return gate->compute(function, x, by, slope);
    }
    // The sums over the groups of `sums`. A device may compute the gate, the coefficients, and the
    // gradients of the parameters of `b` along with them.
    hnorm_status reduce(const CheckedTensor &x, const CheckedTensor &dy, const Normalization &by, const Backward *b,
                        const GroupSums &sums, Gate *gate, Gradient *gradient) const;
    // Backward's coefficients for the groups of `group`, each of `count` elements. The sums are
    // those of its groups, or of their parts.
    hnorm_status gradient(const CheckedTensor &x, const Normalization &by, const Grouping &group,
                          const Values<double> &count, const GroupSums &sums, Gradient *gradient) const;
    hnorm_status gradient(const CheckedTensor &x, const Normalization &by, const Grouping &group, double count,
                          const GroupSums &sums, Gradient *gradient) const {
        return this->gradient(x, by, group, Values<double>{&count, 0, 0}, sums, gradient);
    }
    // The same for constant statistics: sums of 0.
    hnorm_status constant_gradient(const CheckedTensor &x, const Normalization &by, Gate *, Gradient *gradient) const {
        return gradient->compute(function, x, by, {constant(0), constant(0), constant(1)});
    }
    // Fails if a count is not valid, where the CPU can read it.
    hnorm_status check_counts(const double *count, int64_t groups) const;
    hnorm_status apply(const CheckedTensor &x, const CheckedTensor &dy, const Gradient &by, const Gate &gate,
                       const CheckedTensor &dx, bool past_cache) const;
    // Replaces the sums of dy*(x - mean) of the slice by those that the gradient of gamma needs.
    hnorm_status weigh(const Backward &b, const Slice &slice, const GroupSums &sums) const;
    // Needs weigh() of all groups before it.
    hnorm_status parameter_gradients(const Backward &b, const GroupSums &sums) const;

    hnorm_status track(const Track &step) const;
};

}  // namespace hnorm::detail
