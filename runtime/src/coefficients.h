// The coefficients of the pointwise parts (docs/order.md), floats for each group, from statistics and parameters.
#pragma once

#include <cmath>

#include "compute.h"

namespace hnorm::detail {

// Floats as kernels read them: one for each channel of each sample, or one for each channel.
struct GroupFloats {
    const float *data;
    int64_t stride_n;  // 0: shared by all samples

    GroupFloats from(const Range &range) const { return {data + range.first(stride_n), stride_n}; }
};

// 1 / sqrt(variance + eps), or 0 where that sum is 0 (docs/order.md).
inline double invstd(double variance, double eps) { return variance + eps == 0 ? 0 : 1 / std::sqrt(variance + eps); }

// Forward's: y = (x - m) * a + b.
class Coefficients {
public:
    hnorm_status compute(const char *function, const Planes &x, const GroupValues &mean, const GroupValues &variance,
                         const AffineView &affine, double eps);
    hnorm_status compute_m(const char *function, const Planes &x, const GroupValues &mean);
    GroupFloats m() const { return {memory_.data(), stride_n_}; }
    GroupFloats a() const { return {memory_.data() + count_, stride_n_}; }
    GroupFloats b() const { return {memory_.data() + 2 * count_, stride_n_}; }

private:
    mutable ScratchOf<float> memory_;
    int64_t count_ = 0, stride_n_ = 0;
};

// Values of each group for backward: the sums times gamma, and the number of elements.
struct WeightedSums {
    GroupValues g1, g2, count;
};

// Backward's: dx = (dy * scale - k1) - ((x - m) * power) * k2.
class GradientCoefficients {
public:
    hnorm_status compute(const char *function, const Planes &x, const GroupValues &mean, const GroupValues &variance,
                         const AffineView &affine, double eps, const WeightedSums &sums);
    GroupFloats m() const { return {memory_.data(), stride_n_}; }
    GroupFloats scale() const { return {memory_.data() + count_, stride_n_}; }
    GroupFloats k1() const { return {memory_.data() + 2 * count_, stride_n_}; }
    GroupFloats power() const { return {memory_.data() + 3 * count_, stride_n_}; }
    GroupFloats k2() const { return {memory_.data() + 4 * count_, stride_n_}; }

private:
    mutable ScratchOf<float> memory_;
    int64_t count_ = 0, stride_n_ = 0;
};

}  // namespace hnorm::detail
