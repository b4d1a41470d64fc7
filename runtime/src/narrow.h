// Channels-last tensors of few channels (docs/order.md, "Few channels"): 32 positions side by side pass for one of 32 times
// the channels, so that the kernels' vectors, which run across channels, are full.
#pragma once

#include <algorithm>
#include <initializer_list>

#include "compute.h"
#include "error.h"

namespace hnorm::detail {

constexpr int64_t kNarrowParts = 32;

// Whether all of the tensors (null: absent) are such: by their layout and shape, whatever their strides; and whether their
// positions are dense too, without which parts are not side by side.
bool is_narrow(std::initializer_list<const Planes *> tensors);
bool is_narrow_and_dense(std::initializer_list<const Planes *> tensors);

// Part i: of x's positions every 32nd, from the i-th on. All parts as channels of one tensor, part after part, of a dense x.
// The remainder: the positions beyond the last 32 (none if it is empty).
Planes narrow_part(const Planes &x, int64_t i);
Planes narrow_parts(const Planes &x);
Planes narrow_remainder(const Planes &x);

// Calls compute(of, true) for all parts as one, then compute(of, false) for the remainder if there is one: of(tensor) is what
// such a call takes of a tensor of x's shape.
template <typename Compute>
hnorm_status for_parts_and_remainder(const Planes &x, const Compute &compute) {
    HNORM_TRY(compute(narrow_parts, true));
    return narrow_remainder(x).empty() ? HNORM_OK : compute(narrow_remainder, false);
}

// One value for each sample and channel, repeated for each part of narrow_parts(x).
template <typename T>
class NarrowValues {
public:
    hnorm_status repeat(const char *function, const Planes &x, const T *values, int64_t values_n, int64_t values_c) {
        if (values_n == 0 && values_c == 0) {
            data = values;
            return HNORM_OK;
        }
        const int64_t samples = values_n == 0 ? 1 : x.n, width = x.c * kNarrowParts;
        HNORM_TRY(scratch_.reserve(function, samples * width));
        for (int64_t n = 0; n < samples; ++n) {
            for (int64_t i = 0; i < width; ++i) {
                scratch_.data()[n * width + i] = values[n * values_n + i % x.c * values_c];
            }
        }
        data = scratch_.data();
        stride_n = values_n == 0 ? 0 : width;
        stride_c = 1;
        return HNORM_OK;
    }

    const T *data = nullptr;
    int64_t stride_n = 0, stride_c = 0;

private:
    ScratchOf<T> scratch_;
};

class NarrowGroupValues : public NarrowValues<double> {
public:
    hnorm_status repeat(const char *function, const Planes &x, const GroupValues &values) {
        return NarrowValues::repeat(function, x, values.data, values.stride_n, values.stride_c);
    }
    operator GroupValues() const { return {data, stride_n, stride_c}; }
};

class NarrowAffine {
public:
    hnorm_status repeat(const char *function, const Planes &x, const AffineView &affine) {
        HNORM_TRY(gamma_.repeat(function, x, affine.gamma, affine.gamma_n, affine.gamma_c));
        return beta_.repeat(function, x, affine.beta, affine.beta_n, affine.beta_c);
    }
    operator AffineView() const {
        return {gamma_.data, beta_.data, gamma_.stride_n, gamma_.stride_c, beta_.stride_n, beta_.stride_c};
    }

private:
    NarrowValues<float> gamma_, beta_;
};

// Two results of each part and of the remainder, for every group: what a reduction gives before they are put together.
class NarrowResults {
public:
    NarrowResults(const Planes &x, hnorm_group group)
        : c_(x.c), samples_(group == HNORM_BATCH ? 1 : x.n), parts_(kNarrowParts + !narrow_remainder(x).empty()) {}

    hnorm_status reserve(const char *function) { return scratch_.reserve(function, 2 * size()); }
    // Calls reduce(of, i) for each part i, or for all as one, with i 0; then with i kNarrowParts for the remainder if there is
    // one. of as in for_parts_and_remainder.
    template <typename Reduce>
    hnorm_status fill(bool at_once, const Reduce &reduce) {
        for (int64_t i = 0; i < kNarrowParts && !at_once; ++i) {
            HNORM_TRY(reduce([i](const Planes &tensor) { return narrow_part(tensor, i); }, i));
        }
        if (at_once) {
            HNORM_TRY(reduce(narrow_parts, 0));
        }
        return parts_ > kNarrowParts ? reduce(narrow_remainder, kNarrowParts) : HNORM_OK;
    }

    // Where part i's begin; channels are adjacent, samples stride_n() apart.
    double *first(int64_t i) { return scratch_.data() + i * c_; }
    double *second(int64_t i) { return first(i) + size(); }
    int64_t stride_n() const { return parts_ * c_; }
    int64_t parts() const { return parts_; }

    // Calls put_together(first, second, group): the results of the group's part i are first[i*c] and second[i*c].
    template <typename PutTogether>
    void for_each_group(const PutTogether &put_together) {
        for (int64_t n = 0, group = 0; n < samples_; ++n) {
            for (int64_t c = 0; c < c_; ++c, ++group) {
                put_together(first(0) + n * stride_n() + c, second(0) + n * stride_n() + c, group);
            }
        }
    }

private:
    int64_t size() const { return samples_ * stride_n(); }

    const int64_t c_, samples_, parts_;
    Scratch scratch_;
};

}  // namespace hnorm::detail
