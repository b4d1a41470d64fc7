// What a layer is, for layer*.cpp.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "tensor.h"

namespace hnorm::detail {

// The latest forward, as far as backward needs it. Evaluation runs on several threads at once, so all that it leaves is one
// word.
class LayerRecord {
public:
    enum class Forward { kTraining, kEvaluation };

    // Makes room for the statistics of a forward in training, which forgets the ones before.
    hnorm_status begin_training(const char *function, int64_t groups);
    // A forward has succeeded.
    void end(const Planes &x, const Planes &y, bool training, bool residual);
    void x_overwritten();

    // What the latest forward was; fails unless it was given this x, which nothing has overwritten, with a residual or not.
    hnorm_status find(const char *function, const hnorm_tensor &x, const Planes &planes, bool residual,
                      Forward *forward) const;

    // Of the latest forward in training, one a group.
    std::vector<double> mean, variance;

private:
    // 0: none. Else x's fingerprint, and in the lowest bits whether it was in training, whether x is gone, and
    // whether it had a residual.
    std::atomic<uint64_t> latest_{0};
};

hnorm_status null_layer(const char *function);
// x has the layer's channels.
hnorm_status check_features(const char *function, const hnorm_layer &layer, const hnorm_tensor &x,
                            const Planes &planes);

}  // namespace hnorm::detail

struct hnorm_layer {
    int64_t num_features;
    hnorm_layer_options options;
    bool training;
    std::vector<float> gamma, beta, gamma_grad, beta_grad;
    std::vector<double> running_mean, running_var;
    int64_t num_batches_tracked;
    hnorm::detail::LayerRecord record = {};

    float slope() const {  // of the activation; its options were validated
        return options.activation == HNORM_NO_ACTIVATION ? 1.0F
               : options.activation == HNORM_RELU        ? 0.0F
                                                         : options.negative_slope;
    }
    bool tracks() const { return options.track_running_stats != 0; }

    // The affine of this layer's channels.
    hnorm_affine affine() const {
        return options.affine ? hnorm_affine{gamma.data(), beta.data(), 0, 1} : hnorm_affine{nullptr, nullptr, 0, 0};
    }

    void reset_running_stats() {
        running_mean.assign(running_mean.size(), 0.0);
        running_var.assign(running_var.size(), 1.0);
        num_batches_tracked = 0;
    }

    // Takes in one step's statistics, one a group: of an instance norm, the average over the samples.
    void track(const hnorm::detail::Planes &x, const double *mean, const double *variance) {
        ++num_batches_tracked;
        const bool onnx = options.onnx_running_stats != 0;
        const double momentum = options.cumulative ? 1.0 / static_cast<double>(num_batches_tracked)
                                : onnx             ? 1.0 - options.momentum
                                                   : options.momentum;
        const auto count = static_cast<double>(x.group_size(options.group));
        const int64_t samples = options.group == HNORM_BATCH ? 1 : x.n;
        for (int64_t c = 0; c < num_features; ++c) {
            double new_mean = 0, new_variance = 0;
            for (int64_t n = 0; n < samples; ++n) {
                new_mean += mean[n * num_features + c];
                new_variance += variance[n * num_features + c];
            }
            new_mean /= static_cast<double>(samples);
            new_variance /= static_cast<double>(samples);
            if (!onnx) new_variance *= count / (count - 1);  // unbiased
            running_mean[c] = (1 - momentum) * running_mean[c] + momentum * new_mean;
            running_var[c] = (1 - momentum) * running_var[c] + momentum * new_variance;
        }
    }
};
