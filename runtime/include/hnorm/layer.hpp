/// @file
/// Layers in C++: BatchNorm, InstanceNorm and GroupNorm. hnorm.hpp includes this header.
///
/// @code{.cpp}
/// hnorm::BatchNorm bn(64, hnorm::Options().eps(1e-3).relu());
/// bn.forward(x, y);        // training: statistics of the batch
/// bn.backward(x, dy, dx);
/// for (std::size_t c = 0; c < bn.gamma().size(); ++c) {
///     bn.gamma()[c] -= 0.1f * bn.gamma_grad()[c];
///     bn.beta()[c] -= 0.1f * bn.beta_grad()[c];
/// }
/// bn.zero_grad();
///
/// bn.eval();
/// bn.forward(x, y);        // evaluation: running statistics
///
/// hnorm::GroupNorm gn(8, 64);  // 8 groups of 64 / 8 channels
/// gn.forward(x, y);
/// @endcode
#pragma once

#include <hnorm/comm.h>
#include <hnorm/hnorm.h>
#include <hnorm/context.hpp>
#include <hnorm/tensor.hpp>

#include <memory>
#include <optional>
#include <string>

namespace hnorm {
inline namespace HNORM_VERSION_NAMESPACE {

/// The elements that are normalized together (hnorm_group). For group norm, use groups(G).
enum class Group : int {
    batch = HNORM_BATCH,       ///< one channel of all samples
    instance = HNORM_INSTANCE  ///< one channel of one sample
};
/// The argument for group norm with `count` groups: each is C / count neighbouring channels of one
/// sample (hnorm_groups).
inline Group groups(std::int64_t count) { return static_cast<Group>(hnorm_groups(count)); }

/// The options of a layer that differ from the defaults of PyTorch:
/// Options().eps(1e-3).affine(true).
///
/// hnorm_layer_options describes each option.
class Options {
public:
    /// Added to the variance. Finite and 0 or more.
    Options &eps(double value) { return eps_ = value, *this; }
    /// The weight of the new value in the running statistics, in [0, 1]. std::nullopt is the same
    /// as cumulative().
    Options &momentum(std::optional<double> value) { return momentum_ = value, cumulative_ = !value, *this; }
    /// The running statistics are the plain average of all training steps.
    Options &cumulative() { return momentum(std::nullopt); }
    /// True: the layer has gamma and beta, one value a channel.
    Options &affine(bool value) { return affine_ = value, *this; }
    /// True: the layer tracks running statistics, and uses them in evaluation.
    Options &track_running_stats(bool value) { return track_running_stats_ = value, *this; }

    /// True: running statistics as in BatchNormalization of ONNX. momentum is the weight of the old
    /// value, 0.9 unless it is given, and the running variance is the biased one.
    Options &onnx_running_stats(bool value) { return onnx_running_stats_ = value, *this; }

    /// Applies ReLU to every y, after the residual if there is one.
    Options &relu() { return activation(HNORM_RELU, 0); }
    /// Applies leaky ReLU to every y, after the residual if there is one. The slope is finite and 0
    /// or more.
    Options &leaky_relu(float negative_slope) { return activation(HNORM_LEAKY_RELU, negative_slope); }

    /// The options of the C interface: `result` with the options that were given here.
    hnorm_layer_options over(hnorm_layer_options result) const {
        result.eps = eps_.value_or(result.eps);
        result.onnx_running_stats = onnx_running_stats_.value_or(result.onnx_running_stats != 0);
        result.momentum = momentum_.value_or(result.onnx_running_stats ? 0.9 : result.momentum);
        result.cumulative = cumulative_.value_or(result.cumulative != 0);
        result.affine = affine_.value_or(result.affine != 0);
        result.track_running_stats = track_running_stats_.value_or(result.track_running_stats != 0);
        result.activation = activation_;
        result.negative_slope = negative_slope_;
        return result;
    }

private:
    Options &activation(hnorm_activation kind, float negative_slope) {
        return activation_ = kind, negative_slope_ = negative_slope, *this;
    }

    hnorm_activation activation_ = HNORM_NO_ACTIVATION;
    float negative_slope_ = 0;
    std::optional<double> eps_, momentum_;
    std::optional<bool> cumulative_, affine_, track_running_stats_, onnx_running_stats_;
};

namespace header {
/// @cond internals

inline hnorm_group c_group(Group group) { return static_cast<hnorm_group>(group); }

// The ranks that a layer takes, and the words for them in an error message.
struct Ranks {
    const char *layer;
    int least, most;
    const char *shapes;
};

/// @endcond

/// The functions that all layers have.
///
/// A layer can be moved, and cannot be copied. A layer that was moved from can only be destroyed or
/// assigned to. Every function throws Error if it fails.
class Layer {
public:
    /// Normalizes x (hnorm_layer_forward).
    ///
    /// In training the statistics are those of the batch, and running statistics are updated. In
    /// evaluation they are the running statistics, or those of the batch if none are tracked.
    ///
    /// @param x  The input, with num_features() channels.
    /// @param y  Receives the result. It may be x, but then backward is not possible.
    void forward(const ConstTensor &x, const Tensor &y) {
        check_rank(x);
        require_ok(hnorm_layer_forward(layer_.get(), x.c(), y.c()));
    }
    /// Computes the gradients of the latest forward (hnorm_layer_backward).
    ///
    /// The gradients of gamma and beta are added to gamma_grad() and beta_grad().
    ///
    /// @param x   The tensor of that forward, with the same contents.
    /// @param dy  The gradient of the loss at y.
    /// @param dx  Receives the gradient of x. It may be dy or x. std::nullopt if it is not wanted.
    void backward(const ConstTensor &x, const ConstTensor &dy, const std::optional<Tensor> &dx = std::nullopt) {
        check_rank(x);
        require_ok(hnorm_layer_backward(layer_.get(), x.c(), dy.c(), dx ? dx->c() : nullptr));
    }
    /// Normalizes x and adds a residual before the activation (hnorm_layer_forward_add).
    ///
    /// @param x         The input.
    /// @param residual  A tensor of the shape, type and layout of x.
    /// @param y         Receives the result. It may be x or the residual.
    void forward_add(const ConstTensor &x, const ConstTensor &residual, const Tensor &y) {
        check_rank(x);
        require_ok(hnorm_layer_forward_add(layer_.get(), x.c(), residual.c(), y.c()));
    }
    /// Computes the gradients of the latest forward_add (hnorm_layer_backward_add).
    ///
    /// @param x          The tensor of that forward_add.
    /// @param y          The tensor that forward_add wrote. std::nullopt is allowed if the layer
    ///                   has no activation.
    /// @param dy         The gradient of the loss at y.
    /// @param dx         Receives the gradient of x. It may be dy or x. std::nullopt if it is not
    ///                   wanted.
    /// @param dresidual  Receives the gradient of the residual. It may be dy if dx is not.
    ///                   std::nullopt if it is not wanted.
    void backward_add(const ConstTensor &x, const std::optional<ConstTensor> &y, const ConstTensor &dy,
                      const std::optional<Tensor> &dx = std::nullopt,
                      const std::optional<Tensor> &dresidual = std::nullopt) {
        check_rank(x);
        require_ok(hnorm_layer_backward_add(layer_.get(), x.c(), y ? y->c() : nullptr, dy.c(), dx ? dx->c() : nullptr,
                                            dresidual ? dresidual->c() : nullptr));
    }
    /// Sets gamma_grad() and beta_grad() to 0.
    void zero_grad() { require_ok(hnorm_layer_zero_grad(layer_.get())); }
    /// Chooses training, or evaluation with false. A new layer is in training.
    void train(bool training = true) { require_ok(hnorm_layer_train(layer_.get(), training)); }
    /// Chooses evaluation.
    void eval() { train(false); }
    /// True in training.
    bool is_training() const { return hnorm_layer_is_training(layer_.get()) != 0; }
    /// Updates the running statistics with moments of a step that were computed elsewhere
    /// (hnorm_layer_update). Each span has one value a channel.
    void update(Span<const double> count, Span<const double> mean, Span<const double> m2) {
        for (const Span<const double> &values : {count, mean, m2}) {
            if (static_cast<std::int64_t>(values.size()) != num_features()) {
                throw Error(HNORM_INVALID_ARGUMENT, "update: count, mean and m2 hold " + std::to_string(count.size()) +
                                                        ", " + std::to_string(mean.size()) + " and " +
                                                        std::to_string(m2.size()) + " values but must hold " +
                                                        std::to_string(num_features()));
            }
        }
        require_ok(hnorm_layer_update(layer_.get(), count.data(), mean.data(), m2.data()));
    }
    /// Sets the running mean to 0, the running variance to 1 and num_batches_tracked() to 0.
    void reset_running_stats() { require_ok(hnorm_layer_reset_running_stats(layer_.get())); }
    /// Moves the arrays of the layer to a device or back (hnorm_layer_to). Earlier Spans of them
    /// are invalid.
    void to(Device device) { require_ok(hnorm_layer_to(layer_.get(), static_cast<hnorm_device>(device))); }
    /// The place of the layer.
    Device device() const { return static_cast<Device>(hnorm_layer_device(layer_.get())); }
    /// Makes the calls of the layer use a context, which must live as long as the layer uses it
    /// (hnorm_layer_set_context). nullptr restores that of the thread.
    void set_context(Context *context) {
        require_ok(hnorm_layer_set_context(layer_.get(), context ? context->c() : nullptr));
    }
    /// Makes a batch norm share its statistics with other processes (hnorm_layer_set_comm).
    void set_comm(const hnorm_comm &comm) { require_ok(hnorm_layer_set_comm(layer_.get(), &comm)); }
    /// Makes the layer one of this process alone again.
    void reset_comm() { require_ok(hnorm_layer_set_comm(layer_.get(), nullptr)); }
    /// The number of channels.
    std::int64_t num_features() const { return hnorm_layer_num_features(layer_.get()); }

    // The arrays of the layer, to read and to write. They lie on the device of the layer.

    /// gamma: one value a channel, on the device of the layer. Empty if the layer is not affine.
    Span<float> gamma() { return span<float>(hnorm_layer_gamma(layer_.get())); }
    /// beta: one value a channel, on the device of the layer. Empty if the layer is not affine.
    Span<float> beta() { return span<float>(hnorm_layer_beta(layer_.get())); }
    /// The accumulated gradient of gamma, as long as gamma().
    Span<float> gamma_grad() { return span<float>(hnorm_layer_gamma_grad(layer_.get())); }
    /// The accumulated gradient of beta, as long as beta().
    Span<float> beta_grad() { return span<float>(hnorm_layer_beta_grad(layer_.get())); }
    /// The running mean: one value a channel. Empty if the layer does not track it.
    Span<double> running_mean() { return span<double>(hnorm_layer_running_mean(layer_.get())); }
    /// The running variance: one value a channel. Empty if the layer does not track it.
    Span<double> running_var() { return span<double>(hnorm_layer_running_var(layer_.get())); }
    /// gamma, to read.
    Span<const float> gamma() const { return span<const float>(hnorm_layer_gamma(layer_.get())); }
    /// beta, to read.
    Span<const float> beta() const { return span<const float>(hnorm_layer_beta(layer_.get())); }
    /// The accumulated gradient of gamma, to read.
    Span<const float> gamma_grad() const { return span<const float>(hnorm_layer_gamma_grad(layer_.get())); }
    /// The accumulated gradient of beta, to read.
    Span<const float> beta_grad() const { return span<const float>(hnorm_layer_beta_grad(layer_.get())); }
    /// The running mean, to read.
    Span<const double> running_mean() const { return span<const double>(hnorm_layer_running_mean(layer_.get())); }
    /// The running variance, to read.
    Span<const double> running_var() const { return span<const double>(hnorm_layer_running_var(layer_.get())); }
    /// The counter of training steps: one value, always on the CPU. Empty if the layer does not
    /// track running statistics.
    Span<std::int64_t> num_batches_tracked() {
        std::int64_t *value = hnorm_layer_num_batches_tracked(layer_.get());
        return {value, value ? std::size_t(1) : 0};
    }
    /// The counter of training steps, to read.
    Span<const std::int64_t> num_batches_tracked() const {
        const std::int64_t *value = hnorm_layer_num_batches_tracked(layer_.get());
        return {value, value ? std::size_t(1) : 0};
    }

    /// The layer for the C interface. This object keeps it.
    hnorm_layer *c() noexcept { return layer_.get(); }
    /// The layer for the C interface. This object keeps it.
    const hnorm_layer *c() const noexcept { return layer_.get(); }

protected:
    /// A layer that takes these ranks only, or all ranks of the C functions if `ranks` is null.
    Layer(std::int64_t num_features, Group group, const Options &options, const Ranks *ranks) : ranks_(ranks) {
        const hnorm_layer_options c_options = options.over(hnorm_layer_defaults(c_group(group)));
        hnorm_layer *layer = nullptr;
        require_ok(hnorm_layer_create(num_features, &c_options, &layer));
        layer_.reset(layer);
    }

private:
    template <typename T>
    Span<T> span(T *data) const {
        return {data, data ? static_cast<std::size_t>(num_features()) : 0};
    }

    void check_rank(const ConstTensor &x) const {
        if (ranks_ && (x.rank() < ranks_->least || x.rank() > ranks_->most)) {
            throw Error(HNORM_INVALID_ARGUMENT, std::string(ranks_->layer) + ": x.rank is " + std::to_string(x.rank()) +
                                                    ": it must be " + ranks_->shapes);
        }
    }

    struct Destroy {
        void operator()(hnorm_layer *layer) const noexcept { hnorm_layer_destroy(layer); }
    };
    std::unique_ptr<hnorm_layer, Destroy> layer_;
    const Ranks *ranks_;
};

}  // namespace header

/// Batch norm, as torch.nn.BatchNorm1d, 2d and 3d in one.
///
/// Defaults: eps 1e-5, momentum 0.1, affine, running statistics.
class BatchNorm : public header::Layer {
public:
    /// A layer in training, for tensors with num_features channels.
    explicit BatchNorm(std::int64_t num_features, const Options &options = Options())
        : BatchNorm(num_features, options, nullptr) {}

protected:
    /// A layer that takes these ranks only, or all ranks if `ranks` is null.
    BatchNorm(std::int64_t num_features, const Options &options, const header::Ranks *ranks)
        : Layer(num_features, Group::batch, options, ranks) {}
};

/// Instance norm, as torch.nn.InstanceNorm1d, 2d and 3d in one.
///
/// Defaults: eps 1e-5, momentum 0.1, not affine, no running statistics.
class InstanceNorm : public header::Layer {
public:
    /// A layer in training, for tensors with num_features channels.
    explicit InstanceNorm(std::int64_t num_features, const Options &options = Options())
        : InstanceNorm(num_features, options, nullptr) {}

protected:
    /// A layer that takes these ranks only, or all ranks if `ranks` is null.
    InstanceNorm(std::int64_t num_features, const Options &options, const header::Ranks *ranks)
        : Layer(num_features, Group::instance, options, ranks) {}
};

/// Group norm, as torch.nn.GroupNorm.
///
/// A group is num_channels / num_groups neighbouring channels of one sample. Defaults: eps 1e-5,
/// affine. It has no running statistics.
class GroupNorm : public header::Layer {
public:
    /// A layer in training. num_groups must divide num_channels.
    GroupNorm(std::int64_t num_groups, std::int64_t num_channels, const Options &options = Options())
        : Layer(num_channels, groups(num_groups), options, nullptr) {}
};

namespace header {
/// @cond internals

inline constexpr Ranks kBatchNorm1d = {"BatchNorm1d", 2, 3, "2 or 3, (N, C) or (N, C, L)"};
inline constexpr Ranks kBatchNorm2d = {"BatchNorm2d", 4, 4, "4, (N, C, H, W)"};
inline constexpr Ranks kBatchNorm3d = {"BatchNorm3d", 5, 5, "5, (N, C, D, H, W)"};
inline constexpr Ranks kInstanceNorm1d = {"InstanceNorm1d", 3, 3, "3, (N, C, L)"};
inline constexpr Ranks kInstanceNorm2d = {"InstanceNorm2d", 4, 4, "4, (N, C, H, W)"};
inline constexpr Ranks kInstanceNorm3d = {"InstanceNorm3d", 5, 5, "5, (N, C, D, H, W)"};

// The same layer, which takes some ranks only.
template <typename Norm, const Ranks &kRanks>
class Ranked : public Norm {
public:
    explicit Ranked(std::int64_t num_features, const Options &options = Options())
        : Norm(num_features, options, &kRanks) {}
};

/// @endcond
}  // namespace header

/// BatchNorm for tensors of rank 2 or 3, (N, C) or (N, C, L). Other ranks throw Error.
using BatchNorm1d = header::Ranked<BatchNorm, header::kBatchNorm1d>;
/// BatchNorm for tensors of rank 4, (N, C, H, W). Other ranks throw Error.
using BatchNorm2d = header::Ranked<BatchNorm, header::kBatchNorm2d>;
/// BatchNorm for tensors of rank 5, (N, C, D, H, W). Other ranks throw Error.
using BatchNorm3d = header::Ranked<BatchNorm, header::kBatchNorm3d>;
/// InstanceNorm for tensors of rank 3, (N, C, L). Other ranks throw Error.
using InstanceNorm1d = header::Ranked<InstanceNorm, header::kInstanceNorm1d>;
/// InstanceNorm for tensors of rank 4, (N, C, H, W). Other ranks throw Error.
using InstanceNorm2d = header::Ranked<InstanceNorm, header::kInstanceNorm2d>;
/// InstanceNorm for tensors of rank 5, (N, C, D, H, W). Other ranks throw Error.
using InstanceNorm3d = header::Ranked<InstanceNorm, header::kInstanceNorm3d>;

}  // namespace HNORM_VERSION_NAMESPACE
}  // namespace hnorm
