// Values of groups: statistics, parameters and coefficients.
#pragma once

#include "tensor.h"

namespace hnorm::detail {

// One value for each sample and channel. Samples share them if stride_n is 0, and `together`
// neighbouring channels share one. Strides of axes of extent 1 may be 0.
template <typename T>
struct Values {
    const T *data = nullptr;
    int64_t stride_n = 0, stride_c = 1, together = 1;

    const T &at(int64_t n, int64_t c) const { return data[n * stride_n + group(c) * stride_c]; }
    // Those of a slice, whose first channel begins a group.
    Values from(const Slice &slice) const { return {&at(slice.n_begin, slice.c_begin), stride_n, stride_c, together}; }

    int64_t group(int64_t c) const { return together == 1 ? c : c / together; }  // A division takes longer.
};

// A dense array with one value a group, as the C functions have them.
template <typename T>
Values<T> group_values(const T *data, const CheckedTensor &x, const Grouping &group) {
    return {data, group.stride_n(x), 1, group.together};
}

// The groups that have these values.
template <typename T>
Grouping grouping_of(const Values<T> &values) {
    return {values.stride_n == 0 ? HNORM_BATCH : HNORM_INSTANCE, values.together};
}

// gamma and beta. An absent one is a constant with strides of 0 on the CPU, and null on devices.
struct AffineView {
    Values<float> gamma, beta;

    bool per_sample() const { return gamma.stride_n != 0 || beta.stride_n != 0; }
};

// What groups are normalized by: z = (x - mean) / sqrt(variance + eps) * gamma + beta.
struct Normalization {
    Values<double> mean, variance;
    AffineView affine;
    double eps;

    bool per_sample() const { return mean.stride_n != 0 || variance.stride_n != 0 || affine.per_sample(); }
    Normalization from(const Slice &slice) const {
        return {mean.from(slice), variance.from(slice), {affine.gamma.from(slice), affine.beta.from(slice)}, eps};
    }
};

// Values of each group for backward: the sums times gamma, and the number of elements.
struct WeightedSums {
    Values<double> g1, g2, count;
};

// hnorm_post_ops, validated.
struct PostOps {
    float slope = 1;                          // of the activation
    const CheckedTensor *residual = nullptr;  // null: none

    // The same for some planes. *memory keeps the new residual.
    PostOps from(const Slice &slice, CheckedTensor *memory) const {
        if (residual == nullptr) {
            return *this;
        }
        *memory = cropped(*residual, slice);
        return {slope, memory};
    }
};

}  // namespace hnorm::detail
