// What the transcription gives for whole tensors: the view of docs/order.md, from samples and channels to groups.
#pragma once

#include "calls.h"
#include "transcription.h"

#include <cstdint>
#include <vector>

namespace test {

inline transcription::Group transcribed_group(const Tensor &x, hnorm_group group, int64_t n, int64_t c) {
    if (group == HNORM_BATCH) return {x.plane(0, c), x.positions(), x.samples(), x.stride_n()};
    return {x.plane(n, c), x.positions(), 1, 0};
}

inline Statistics transcribed_moments(const Tensor &x, hnorm_group group) {
    Statistics result;
    for (int64_t g = 0; g < group_count(x, group); g++) {
        const transcription::Group view = transcribed_group(x, group, g / x.channels(), g % x.channels());
        const transcription::Moments moments = transcription::moments(view);
        result.count.push_back(static_cast<double>(group_size(x, group)));
        result.mean.push_back(moments.mean);
        result.m2.push_back(moments.M2);
    }
    return result;
}

// Dense, as elements().
inline std::vector<float> transcribed_normalize(const Tensor &x, hnorm_group group, const std::vector<double> &mean,
                                                const std::vector<double> &variance, const Affine &affine, double eps) {
    std::vector<float> result;
    result.reserve(static_cast<size_t>(x.size()));
    for (int64_t n = 0; n < x.samples(); n++) {
        for (int64_t c = 0; c < x.channels(); c++) {
            const size_t g = static_cast<size_t>(group_of(x, group, n, c));
            const transcription::Pointwise y(mean[g], variance[g], affine.gamma(n, c), affine.beta(n, c), eps);
            const float *plane = x.plane(n, c);
            for (int64_t s = 0; s < x.positions(); s++) result.push_back(y(plane[s]));
        }
    }
    return result;
}

}  // namespace test
