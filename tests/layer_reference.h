// PyTorch's running statistics in long double, from their definition and not from hnorm's code.
#pragma once

#include "api.h"

#include <cmath>

namespace api {

// Mean and unbiased variance of the values of one channel: of all samples, or of one where `sample` is not negative.
inline void channel_statistics(const std::vector<float> &x, int64_t samples, int64_t channels, int64_t positions,
                               int64_t channel, int64_t sample, long double &mean, long double &variance) {
    const int64_t first = sample < 0 ? 0 : sample, last = sample < 0 ? samples : sample + 1;
    const long double count = static_cast<long double>((last - first) * positions);
    const auto at = [&](int64_t n, int64_t s) {
        return static_cast<long double>(x[static_cast<size_t>((n * channels + channel) * positions + s)]);
    };
    mean = 0;
    for (int64_t n = first; n < last; n++)
        for (int64_t s = 0; s < positions; s++) mean += at(n, s) / count;
    variance = 0;
    for (int64_t n = first; n < last; n++)
        for (int64_t s = 0; s < positions; s++) variance += (at(n, s) - mean) * (at(n, s) - mean) / (count - 1);
}

// What a step adds to the running statistics of each channel: for instance norm, the samples' average.
struct Step {
    std::vector<long double> mean, variance;

    Step(const std::vector<float> &x, int64_t samples, int64_t channels, int64_t positions, hnorm_group group)
        : mean(static_cast<size_t>(channels)), variance(static_cast<size_t>(channels)) {
        for (int64_t c = 0; c < channels; c++) {
            const size_t i = static_cast<size_t>(c);
            if (group == HNORM_BATCH) {
                channel_statistics(x, samples, channels, positions, c, -1, mean[i], variance[i]);
                continue;
            }
            for (int64_t n = 0; n < samples; n++) {
                long double m, v;
                channel_statistics(x, samples, channels, positions, c, n, m, v);
                mean[i] += m / static_cast<long double>(samples);
                variance[i] += v / static_cast<long double>(samples);
            }
        }
    }
};

// Whether the value is the expected one but for rounding. The statistics of a float tensor are exact to about 1e-7.
inline bool close(double value, long double expected) {
    return std::fabs(static_cast<long double>(value) - expected) <= 1e-6L * (1 + std::fabs(expected));
}

}  // namespace api
