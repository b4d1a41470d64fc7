// The computations of Device (device.h), as a device's kernels do them: the same steps as the CPU's, in the same order of summation
// (docs/order.md).
#pragma once

#include <array>
#include <utility>

#include "gradients.h"
#include "launch.h"

namespace hnorm::gpu {

// Floats a group in working memory, an array for each of a kernel's results: m, a, b of forward's pointwise part; m, scale, k1, power, k2 of
// backward's.
template <int kCount>
class Arrays {
public:
    explicit Arrays(const Call &call)
        : call_(call), scratch_(make(call.driver, std::make_integer_sequence<int, kCount>())) {}

    hnorm_status reserve(int64_t groups) {
        for (Scratch &scratch : scratch_) {
            HNORM_TRY(scratch.reserve(call_.function, groups * static_cast<int64_t>(sizeof(float))));
        }
        return HNORM_OK;
    }
    float *operator[](int i) const { return scratch_[i].template as<float>(); }
    int64_t stride_n = 0;  // between samples; 0: shared by all

private:
    template <int... kAny>
    static std::array<Scratch, kCount> make(Driver &driver, std::integer_sequence<int, kAny...>) {
        return {((void)kAny, Scratch(driver))...};
    }

    const Call &call_;
    std::array<Scratch, kCount> scratch_;
};
using Forward = Arrays<3>;
using Gradient = Arrays<5>;

// What is known of the activation's sign: a and b of forward's pointwise part, which does not matter where the slope is 1.
struct Sign {
    const float *a, *b;
    int64_t stride_n, stride_c;
    float slope;
};
Sign no_sign(const Call &call);

// The class of pointwise kernels: for few channels neighbouring threads take neighbouring positions, whatever the layout.
PlaneClass device_class(std::initializer_list<const Planes *> tensors);

// Also the pointwise part's floats, by m2 as the variance; of no use where gamma and beta are of more groups than the moments.
hnorm_status moments(const Call &call, const Planes &x, hnorm_group group, const AffineView &affine, double eps,
                     double divisor, double *mean, double *m2, Forward *forward);
hnorm_status coefficients(const Call &call, const Planes &x, const GroupValues &mean, const GroupValues &variance,
                          const AffineView &affine, double eps, Forward *forward);
hnorm_status normalize(const Call &call, const Planes &x, const Forward &by, const PostOps &post, const Planes &y);
hnorm_status activation_backward(const Call &call, const Planes &y, const Planes &dy, float slope, const Planes &dz);
// Of elements of 16 bits, as floats; and floats as such elements.
hnorm_status wide_gradient(const Call &call, const Planes &y, const Planes &dy, float slope, const Planes &dz);
hnorm_status narrow(const Call &call, const Planes &from, const Planes &to);
// The sums, and the pointwise part's floats by them as the groups' own.
hnorm_status backward_reduce(const Call &call, const Planes &x, const Planes &dy, hnorm_group group,
                             const GroupValues &mean, const Sign &sign, const GroupValues &variance,
                             const AffineView &affine, double eps, double *sum_dy, double *sum_dy_xmu,
                             Gradient *gradient);
// weigh: g1 and g2 are still to be multiplied by gamma.
hnorm_status gradient_coefficients(const Call &call, const Planes &x, const GroupValues &mean,
                                   const GroupValues &variance, const AffineView &affine, double eps,
                                   const WeightedSums &sums, bool weigh, Gradient *gradient);
hnorm_status backward_apply(const Call &call, const Planes &x, const Planes &dy, const Gradient &by, const Sign &sign,
                            const Planes &dx);

// Statistics of groups of channels, with one value for each of their channels, in working memory.
class OfChannels {
public:
    explicit OfChannels(const Call &call) : call_(call), mean_(call.driver), variance_(call.driver) {}

    // Those of x. M2 is divided by `divisor`.
    hnorm_status merge(const Planes &x, const Grouping &group, double divisor);
    // Repeats given ones, which are one value for each group of a tensor like x.
    hnorm_status repeat(const Planes &x, const Grouping &group, const double *mean, const double *variance);
    // Writes one value for each group of x. Null: not wanted.
    hnorm_status take(const Planes &x, const Grouping &group, double *mean, double *variance) const;

    double *mean() const { return mean_.as<double>(); }
    double *variance() const { return variance_.as<double>(); }

private:
    hnorm_status reserve(const Planes &x);

    const Call &call_;
    Scratch mean_, variance_;
};

// gamma and beta with constants for absent ones.
AffineView present(const Call &call, const AffineView &affine);

}  // namespace hnorm::gpu
