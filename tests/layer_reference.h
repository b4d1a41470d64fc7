// Layers by PyTorch's definitions, in long double and not from hnorm's code, on the values that the
// tensors hold.
#pragma once

#include "accuracy.h"
#include "api.h"

#include <cmath>

namespace api {

// For the references.
inline test::Tensor as_tensor(const std::vector<int64_t> &shape, const std::vector<float> &values) {
    test::Tensor result(shape);
    result.set_exact(values);
    return result;
}
inline test::Tensor as_tensor(const Elements &elements) { return as_tensor(elements.shape(), elements.values()); }

// The layer's gamma and beta.
inline test::Affine affine_of(hnorm_layer *layer, const test::Tensor &x) {
    const float *const gamma = hnorm_layer_gamma(layer), *const beta = hnorm_layer_beta(layer);
    test::Affine result(gamma ? test::AffineKind::kChannel : test::AffineKind::kNone, x);
    if (gamma) {
        result.gammas.assign(gamma, gamma + x.channels());
        result.betas.assign(beta, beta + x.channels());
    }
    return result;
}

// Whether a statistic is the expected one but for rounding: to about 1e-7, whatever the type of x.
inline bool close(double value, long double expected) {
    return std::fabs(static_cast<long double>(value) - expected) <= 1e-6L * (1 + std::fabs(expected));
}

class RunningStatistics {
public:
    RunningStatistics(const hnorm_layer_options &options, int64_t channels)
        : options_(options),
          mean_(static_cast<size_t>(channels), 0.0L),
          variance_(static_cast<size_t>(channels), 1.0L) {}

    // Takes a training step's into account: for instance norm, the samples' average.
    void step(const test::Tensor &x) {
        steps_++;
        const long double momentum = static_cast<long double>(options_.momentum);
        const long double weight = options_.cumulative           ? 1.0L / steps_
                                   : options_.onnx_running_stats ? 1 - momentum
                                                                 : momentum;
        const test::References groups = test::references(x, options_.group);
        const size_t channels = mean_.size();
        const long double samples = static_cast<long double>(groups.size() / channels);  // as many groups a channel
        for (size_t c = 0; c < channels; c++) {
            long double mean = 0, variance = 0;
            for (size_t g = c; g < groups.size(); g += channels) {
                const long double count = static_cast<long double>(groups[g].count);
                mean += groups[g].mean / samples;
                variance += groups[g].variance * (options_.onnx_running_stats ? 1 : count / (count - 1)) / samples;
            }
            mean_[c] += weight * (mean - mean_[c]);
            variance_[c] += weight * (variance - variance_[c]);
        }
    }

    void require(const double *mean, const double *variance) const {
        for (size_t c = 0; c < mean_.size(); c++) {
            INFO("channel " << c << ": running mean " << mean[c] << ", expected " << double(mean_[c]) << "; variance "
                            << variance[c] << ", expected " << double(variance_[c]));
            REQUIRE(close(mean[c], mean_[c]));
            REQUIRE(close(variance[c], variance_[c]));
        }
    }

private:
    hnorm_layer_options options_;
    std::vector<long double> mean_, variance_;
    int steps_ = 0;
};

// y of a layer whose groups have these statistics.
inline void require_normalized(hnorm_layer *layer, double eps, const Elements &x, hnorm_group group,
                               const test::References &statistics, const Elements &y) {
    const test::Tensor values = as_tensor(x);
    const test::Worst worst = test::worst_y(values, group, statistics, affine_of(layer, values), eps, as_tensor(y));
    INFO(worst.where);
    REQUIRE(worst.error <= test::kTolerance);
}

}  // namespace api
