// Channels-last tensors of few channels: 32 neighbouring positions are treated as one position with
// 32 times the channels, so that vectors across channels are full (docs/order.md, "Few channels").
#pragma once

#include <algorithm>
#include <initializer_list>

#include "compute.h"
#include "error.h"

namespace hnorm::detail {

constexpr int64_t kNarrowParts = 32;

// is_narrow: whether all of the tensors have few channels, judged by layout and shape only. A null
// tensor is absent. is_narrow_and_dense: whether their positions are dense too. Otherwise the parts
// do not lie side by side.
bool is_narrow(std::initializer_list<const Planes *> tensors);
bool is_narrow_and_dense(std::initializer_list<const Planes *> tensors);

// narrow_part: part i, which is every 32nd position of x from the i-th on. narrow_parts: all parts
// of a dense x as the channels of one tensor, part after part. narrow_remainder: the positions
// after the last full 32. It is empty if there are none.
Planes narrow_part(const Planes &x, int64_t i);
Planes narrow_parts(const Planes &x);
Planes narrow_remainder(const Planes &x);

// Calls compute(of, true) for all parts together, and then compute(of, false) for the remainder if
// there is one. of(tensor) is the piece of a tensor of x's shape that the call works on.
template <typename Compute>
hnorm_status for_parts_and_remainder(const Planes &x, const Compute &compute) {
    HNORM_TRY(compute(narrow_parts, true));
    return narrow_remainder(x).empty() ? HNORM_OK : compute(narrow_remainder, false);
}

// Values of samples and channels, repeated for each part of narrow_parts(x).
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

}  // namespace hnorm::detail
