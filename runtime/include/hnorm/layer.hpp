// hnorm: layers for C++. Included by hnorm.hpp.
#pragma once

#include <hnorm/hnorm.h>
#include <hnorm/tensor.hpp>

#include <memory>
#include <optional>
#include <string>

namespace hnorm {

// What is normalized together: a channel, or a channel of one sample; or, as groups(G), C/G neighbouring channels of one sample.
enum class Group : int { batch = HNORM_BATCH, instance = HNORM_INSTANCE };
inline Group groups(std::int64_t count) { return static_cast<Group>(hnorm_groups(count)); }

// What differs from a layer's defaults, which are PyTorch's: Options().eps(1e-3).affine(true).
class Options {
public:
    Options &eps(double value) { return eps_ = value, *this; }
    // The weight of the new value in the running statistics; std::nullopt as cumulative().
    Options &momentum(std::optional<double> value) { return momentum_ = value, cumulative_ = !value, *this; }
    // The running statistics are the plain average over all training steps.
    Options &cumulative() { return momentum(std::nullopt); }
    Options &affine(bool value) { return affine_ = value, *this; }
    Options &track_running_stats(bool value) { return track_running_stats_ = value, *this; }

    // ONNX's BatchNormalization: momentum, 0.9 unless given, weights the old value, and the running variance is biased.
    Options &onnx_running_stats(bool value) { return onnx_running_stats_ = value, *this; }

    // What every y of the layer goes through, after the residual where forward is given one.
    Options &relu() { return activation(HNORM_RELU, 0); }
    Options &leaky_relu(float negative_slope) { return activation(HNORM_LEAKY_RELU, negative_slope); }

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

inline hnorm_group c_group(Group group) { return static_cast<hnorm_group>(group); }

// The ranks that a layer takes, and how it says so.
struct Ranks {
    const char *layer;
    int least, most;
    const char *shapes;
};

// What all layers are. Movable, not copyable; a moved-from layer can only be destroyed or assigned to.
class Layer {
public:
    // y may be x. Training: batch statistics, running statistics updated where tracked.
    void forward(const ConstTensor &x, const Tensor &y) {
        check_rank(x);
        require_ok(hnorm_layer_forward(layer_.get(), x.c(), y.c()));
    }
    // The gradients of the latest forward, from the x that it was given. dx may be absent, dy or x; the others are added to
    // gamma_grad() and beta_grad().
    void backward(const ConstTensor &x, const ConstTensor &dy, const std::optional<Tensor> &dx = std::nullopt) {
        check_rank(x);
        require_ok(hnorm_layer_backward(layer_.get(), x.c(), dy.c(), dx ? dx->c() : nullptr));
    }
    // The same with a residual added before the activation; y may be it.
    void forward_add(const ConstTensor &x, const ConstTensor &residual, const Tensor &y) {
        check_rank(x);
        require_ok(hnorm_layer_forward_add(layer_.get(), x.c(), residual.c(), y.c()));
    }
    // After forward_add: y is what it wrote (absent where the layer has no activation), dresidual receives the residual's
    // gradient and may be dy.
    void backward_add(const ConstTensor &x, const std::optional<ConstTensor> &y, const ConstTensor &dy,
                      const std::optional<Tensor> &dx = std::nullopt,
                      const std::optional<Tensor> &dresidual = std::nullopt) {
        check_rank(x);
        require_ok(hnorm_layer_backward_add(layer_.get(), x.c(), y ? y->c() : nullptr, dy.c(), dx ? dx->c() : nullptr,
                                            dresidual ? dresidual->c() : nullptr));
    }
    void zero_grad() { require_ok(hnorm_layer_zero_grad(layer_.get())); }
    void train(bool training = true) { require_ok(hnorm_layer_train(layer_.get(), training)); }
    void eval() { train(false); }
    bool is_training() const { return hnorm_layer_is_training(layer_.get()) != 0; }
    void reset_running_stats() { require_ok(hnorm_layer_reset_running_stats(layer_.get())); }
    // Moves the layer's arrays (hnorm_layer_to).
    void to(Device device) { require_ok(hnorm_layer_to(layer_.get(), static_cast<hnorm_device>(device))); }
    Device device() const { return static_cast<Device>(hnorm_layer_device(layer_.get())); }
    std::int64_t num_features() const { return hnorm_layer_num_features(layer_.get()); }

    // The layer's own arrays, on its device, one value a channel, to read and write; empty where the layer has none.
    Span<float> gamma() { return span<float>(hnorm_layer_gamma(layer_.get())); }
    Span<float> beta() { return span<float>(hnorm_layer_beta(layer_.get())); }
    Span<float> gamma_grad() { return span<float>(hnorm_layer_gamma_grad(layer_.get())); }
    Span<float> beta_grad() { return span<float>(hnorm_layer_beta_grad(layer_.get())); }
    Span<double> running_mean() { return span<double>(hnorm_layer_running_mean(layer_.get())); }
    Span<double> running_var() { return span<double>(hnorm_layer_running_var(layer_.get())); }
    Span<const float> gamma() const { return span<const float>(hnorm_layer_gamma(layer_.get())); }
    Span<const float> beta() const { return span<const float>(hnorm_layer_beta(layer_.get())); }
    Span<const float> gamma_grad() const { return span<const float>(hnorm_layer_gamma_grad(layer_.get())); }
    Span<const float> beta_grad() const { return span<const float>(hnorm_layer_beta_grad(layer_.get())); }
    Span<const double> running_mean() const { return span<const double>(hnorm_layer_running_mean(layer_.get())); }
    Span<const double> running_var() const { return span<const double>(hnorm_layer_running_var(layer_.get())); }
    // One value, or none where the running statistics are not tracked.
    Span<std::int64_t> num_batches_tracked() {
        std::int64_t *value = hnorm_layer_num_batches_tracked(layer_.get());
        return {value, value ? std::size_t(1) : 0};
    }
    Span<const std::int64_t> num_batches_tracked() const {
        const std::int64_t *value = hnorm_layer_num_batches_tracked(layer_.get());
        return {value, value ? std::size_t(1) : 0};
    }

    hnorm_layer *c() noexcept { return layer_.get(); }
    const hnorm_layer *c() const noexcept { return layer_.get(); }

protected:
    // ranks, where not null, are those that forward and backward take; else all that the C functions do.
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

// torch.nn.BatchNorm1d, 2d and 3d in one: eps 1e-5, momentum 0.1, affine, running statistics.
class BatchNorm : public header::Layer {
public:
    explicit BatchNorm(std::int64_t num_features, const Options &options = Options())
        : BatchNorm(num_features, options, nullptr) {}

protected:
    BatchNorm(std::int64_t num_features, const Options &options, const header::Ranks *ranks)
        : Layer(num_features, Group::batch, options, ranks) {}
};

// torch.nn.InstanceNorm1d, 2d and 3d in one: eps 1e-5, momentum 0.1, neither affine nor running statistics.
class InstanceNorm : public header::Layer {
public:
    explicit InstanceNorm(std::int64_t num_features, const Options &options = Options())
        : InstanceNorm(num_features, options, nullptr) {}

protected:
    InstanceNorm(std::int64_t num_features, const Options &options, const header::Ranks *ranks)
        : Layer(num_features, Group::instance, options, ranks) {}
};

// torch.nn.GroupNorm: groups of num_channels / num_groups neighbouring channels; eps 1e-5, affine.
class GroupNorm : public header::Layer {
public:
    GroupNorm(std::int64_t num_groups, std::int64_t num_channels, const Options &options = Options())
        : Layer(num_channels, groups(num_groups), options, nullptr) {}
};

namespace header {

inline constexpr Ranks kBatchNorm1d = {"BatchNorm1d", 2, 3, "2 or 3, (N, C) or (N, C, L)"};
inline constexpr Ranks kBatchNorm2d = {"BatchNorm2d", 4, 4, "4, (N, C, H, W)"};
inline constexpr Ranks kBatchNorm3d = {"BatchNorm3d", 5, 5, "5, (N, C, D, H, W)"};
inline constexpr Ranks kInstanceNorm1d = {"InstanceNorm1d", 3, 3, "3, (N, C, L)"};
inline constexpr Ranks kInstanceNorm2d = {"InstanceNorm2d", 4, 4, "4, (N, C, H, W)"};
inline constexpr Ranks kInstanceNorm3d = {"InstanceNorm3d", 5, 5, "5, (N, C, D, H, W)"};

// The same layer, for some ranks only.
template <typename Norm, const Ranks &kRanks>
class Ranked : public Norm {
public:
    explicit Ranked(std::int64_t num_features, const Options &options = Options())
        : Norm(num_features, options, &kRanks) {}
};

}  // namespace header

// PyTorch's names: forward and backward refuse an x of another rank.
using BatchNorm1d = header::Ranked<BatchNorm, header::kBatchNorm1d>;
using BatchNorm2d = header::Ranked<BatchNorm, header::kBatchNorm2d>;
using BatchNorm3d = header::Ranked<BatchNorm, header::kBatchNorm3d>;
using InstanceNorm1d = header::Ranked<InstanceNorm, header::kInstanceNorm1d>;
using InstanceNorm2d = header::Ranked<InstanceNorm, header::kInstanceNorm2d>;
using InstanceNorm3d = header::Ranked<InstanceNorm, header::kInstanceNorm3d>;

}  // namespace hnorm
