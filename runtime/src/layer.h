// The definition of a layer, for layer*.cpp.
#pragma once

#include <atomic>
#include <cmath>
#include <cstdint>
#include <memory>

#include "backward.h"
#include "context.h"
#include "layer_values.h"
#include "ranks/over_ranks.h"

namespace hnorm::detail {

// The data of the latest forward that backward needs. Several threads may evaluate at the same
// time, so evaluation stores one word only.
class LayerRecord {
public:
    enum class Forward { kTraining, kEvaluation };

    // Makes room for the statistics of a forward in training, and forgets the forward before.
    // over_ranks: all ranks make this forward. If it fails on this rank alone, backward must tell
    // the others.
    hnorm_status begin_training(const char *function, int64_t groups, bool over_ranks = false);
    // Forgets the latest forward. From now on statistics lie in this storage.
    void move_to(const Storage &storage);
    // A forward has succeeded.
    void end(const CheckedTensor &x, const CheckedTensor &y, bool training, bool residual, bool over_ranks = false);
    // Whether the latest forward was one of all ranks.
    bool is_over_ranks() const;
    void x_overwritten();

    // Gives the mode of the latest forward. Fails unless that forward had this x, nothing has
    // overwritten x, and it had a residual or none, as `residual` says.
    hnorm_status find(const char *function, const hnorm_tensor &x, const CheckedTensor &planes, bool residual,
                      Forward *forward) const;

    // The statistics of the latest forward in training, one a group.
    LayerValues<double> mean, variance;

private:
    // The latest forward. 0: none. Else the fingerprint of its x, and four flags in the lowest
    // bits: it was in training, its x has been overwritten, it had a residual, all ranks made it.
    // The last flag alone says that it has failed.
    std::atomic<uint64_t> latest_{0};
};

hnorm_status null_layer(const char *function);
// Fail unless x lies where the layer does, and has as many channels.
hnorm_status check_layer_device(const char *function, const hnorm_layer &layer, const hnorm_tensor &x);
hnorm_status check_features(const char *function, const hnorm_layer &layer, const hnorm_tensor &x,
                            const CheckedTensor &planes);
// Fails if the layer's owner has written a num_batches_tracked that is not valid.
hnorm_status check_tracked(const char *function, const hnorm_layer &layer);

}  // namespace hnorm::detail

struct hnorm_layer {
    int64_t num_features;
    hnorm_layer_options options;
    bool training;
    hnorm::detail::LayerValues<float> gamma, beta, gamma_grad, beta_grad;
    hnorm::detail::LayerValues<double> running_mean, running_var;
    int64_t num_batches_tracked = 0;
    hnorm_device device = HNORM_CPU;
    const hnorm_context *context = nullptr;                               // null: the thread's
    std::unique_ptr<hnorm::detail::LayerOverRanks> over_ranks = nullptr;  // null: this process alone
    hnorm::detail::LayerRecord record = {};

    hnorm_layer(int64_t features, const hnorm_layer_options &its_options)
        : num_features(features),
          options(its_options),
          training(true),
          gamma(affine_size(), 1.0F),
          beta(affine_size(), 0.0F),
          gamma_grad(affine_size(), 0.0F),
          beta_grad(affine_size(), 0.0F),
          running_mean(tracked_size(), 0.0),
          running_var(tracked_size(), 1.0) {}
    size_t affine_size() const { return options.affine ? static_cast<size_t>(num_features) : 0; }
    size_t tracked_size() const { return tracks() ? static_cast<size_t>(num_features) : 0; }

    // The slope of the activation. The options were validated.
    float slope() const {
        return options.activation == HNORM_NO_ACTIVATION ? 1.0F
               : options.activation == HNORM_RELU        ? 0.0F
                                                         : std::fabs(options.negative_slope);  // no -0
    }
    hnorm::detail::Grouping grouping() const { return hnorm::detail::grouping_of(options.group, num_features); }
    bool tracks() const { return options.track_running_stats != 0; }

    // The affine of this layer's channels.
    hnorm_affine affine() const {
        return options.affine ? hnorm_affine_of(gamma.data(), beta.data()) : hnorm_affine_of(nullptr, nullptr);
    }

    // The update of the running statistics with the statistics of a step, one value a group.
    // `samples` groups share a channel (instance norm takes their average), and each has `count`
    // elements.
    hnorm::detail::Track tracked(int64_t samples, double count, const double *mean, const double *variance) {
        const int64_t steps = num_batches_tracked + 1;
        const bool onnx = options.onnx_running_stats != 0;
        const double momentum = options.cumulative ? 1.0 / static_cast<double>(steps)
                                : onnx             ? 1.0 - options.momentum
                                                   : options.momentum;
        return {num_features,
                samples,
                mean,
                variance,
                momentum,
                onnx ? 1 : count / (count - 1),  // unbiased
                running_mean.data(),
                running_var.data()};
    }
};
