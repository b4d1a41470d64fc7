// hnorm for C++17: value types and exceptions over hnorm.h, which says what each function computes, its shapes and its
// limits. Every function throws hnorm::Error; on failure nothing has been written.
#pragma once

#include <hnorm/hnorm.h>
#include <hnorm/tensor.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace hnorm {

// What is normalized together: a channel, or a channel of one sample.
enum class Group { batch = HNORM_BATCH, instance = HNORM_INSTANCE };

// gamma and beta, each one a channel (length C), or one a sample and channel (length N*C, as in AdaIN); absent: 1 and 0.
// Where both are given they are equally long.
struct Affine {
    Span<const float> gamma = nullptr;
    Span<const float> beta = nullptr;
};

namespace header {

inline hnorm_group c_group(Group group) { return static_cast<hnorm_group>(group); }

// 0 for shapes that the C functions refuse, so that no memory is taken for them.
inline std::int64_t groups(const ConstTensor &x, Group group) {
    const hnorm_tensor &t = *x.c();
    const std::int64_t limit = 0x7fffffff, n = group == Group::batch ? 1 : t.shape[0], c = t.shape[1];
    const bool refused = t.rank < 2 || n < 0 || c < 0 || n > limit || c > limit || n * c > limit;
    return refused ? 0 : n * c;
}

// C functions take bare pointers; here lengths are known, so they are checked. An absent array is the C function's matter.
inline void check_length(const char *function, const char *name, std::size_t length, std::int64_t wanted) {
    if (length != 0 && static_cast<std::int64_t>(length) != wanted) {
        throw Error(HNORM_INVALID_ARGUMENT, std::string(function) + ": " + name + " holds " + std::to_string(length) +
                                                " values but must hold " + std::to_string(wanted));
    }
}

inline hnorm_affine c_affine(const char *function, const ConstTensor &x, const Affine &affine) {
    const std::size_t length = affine.gamma.empty() ? affine.beta.size() : affine.gamma.size();
    const std::int64_t channels = groups(x, Group::batch), all = groups(x, Group::instance);
    check_length(function, "affine.beta", affine.beta.size(), static_cast<std::int64_t>(length));
    if (length != 0 && static_cast<std::int64_t>(length) != channels && static_cast<std::int64_t>(length) != all) {
        throw Error(HNORM_INVALID_ARGUMENT, std::string(function) + ": affine holds " + std::to_string(length) +
                                                " values but must hold " + std::to_string(channels) +
                                                " (per channel) or " + std::to_string(all) +
                                                " (per sample and channel)");
    }
    const bool per_channel = length == 0 || static_cast<std::int64_t>(length) == channels;
    return {affine.gamma.data(), affine.beta.data(), per_channel ? 0 : channels, 1};
}

}  // namespace header

// ---- functions ----------------------------------------------------------------------------------------------------

// The moments of each group; M2 is the sum of (x - mean)^2.
struct Moments {
    std::vector<double> count, mean, m2;

    // Biased: M2/count. NaN where the count is 0.
    std::vector<double> variance() const {
        std::vector<double> result(m2.size());
        for (std::size_t i = 0; i < m2.size(); ++i) {
            result[i] = m2[i] / count[i];
        }
        return result;
    }

    // Merges the moments of other samples of the same groups into these.
    void merge(const Moments &other) {
        const auto groups = static_cast<std::int64_t>(count.size());
        const std::vector<double> *const all[] = {&mean, &m2, &other.count, &other.mean, &other.m2};
        for (const std::vector<double> *values : all) {
            if (values->size() != count.size()) {
                throw Error(HNORM_INVALID_ARGUMENT, "Moments::merge: the vectors must be equally long, and are " +
                                                        std::to_string(count.size()) + " and " +
                                                        std::to_string(values->size()));
            }
        }
        header::check(hnorm_merge_moments(groups, count.data(), mean.data(), m2.data(), other.count.data(),
                                          other.mean.data(), other.m2.data()));
    }
};

// hnorm_moments.
inline Moments moments(const ConstTensor &x, Group group) {
    const auto size = static_cast<std::size_t>(header::groups(x, group));
    Moments result{std::vector<double>(size), std::vector<double>(size), std::vector<double>(size)};
    header::check(
        hnorm_moments(x.c(), header::c_group(group), result.count.data(), result.mean.data(), result.m2.data()));
    return result;
}

// hnorm_normalize. mean and variance: one value a group.
inline void normalize(const ConstTensor &x, Group group, Span<const double> mean, Span<const double> variance,
                      const Affine &affine, double eps, const Tensor &y) {
    const std::int64_t groups = header::groups(x, group);
    header::check_length("normalize", "mean", mean.size(), groups);
    header::check_length("normalize", "variance", variance.size(), groups);
    const hnorm_affine c_affine = header::c_affine("normalize", x, affine);
    header::check(hnorm_normalize(x.c(), header::c_group(group), mean.data(), variance.data(), &c_affine, eps, y.c()));
}

// hnorm_forward. mean and variance (biased) receive one value a group where given.
inline void forward(const ConstTensor &x, Group group, const Affine &affine, double eps, const Tensor &y,
                    Span<double> mean = nullptr, Span<double> variance = nullptr) {
    const std::int64_t groups = header::groups(x, group);
    header::check_length("forward", "mean", mean.size(), groups);
    header::check_length("forward", "variance", variance.size(), groups);
    const hnorm_affine c_affine = header::c_affine("forward", x, affine);
    header::check(hnorm_forward(x.c(), header::c_group(group), &c_affine, eps, y.c(), mean.data(), variance.data()));
}

// tf.nn.batch_normalization. All arrays are one value a channel, or all one a sample and channel; offset and scale may
// be absent (nullptr).
inline void batch_normalization(const ConstTensor &x, Span<const float> mean, Span<const float> variance,
                                Span<const float> offset, Span<const float> scale, double variance_epsilon,
                                const Tensor &y) {
    const auto length = static_cast<std::int64_t>(mean.size());
    if (variance.size() != mean.size()) {
        throw Error(HNORM_INVALID_ARGUMENT, "batch_normalization: variance holds " + std::to_string(variance.size()) +
                                                " values but mean holds " + std::to_string(length));
    }
    header::check_length("batch_normalization", "offset", offset.size(), length);
    header::check_length("batch_normalization", "scale", scale.size(), length);
    header::check(hnorm_batch_normalization(x.c(), length, mean.data(), variance.data(), offset.data(), scale.data(),
                                            variance_epsilon, y.c()));
}

// ---- layers -------------------------------------------------------------------------------------------------------

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

    hnorm_layer_options over(hnorm_layer_options result) const {
        result.eps = eps_.value_or(result.eps);
        result.momentum = momentum_.value_or(result.momentum);
        result.cumulative = cumulative_.value_or(result.cumulative != 0);
        result.affine = affine_.value_or(result.affine != 0);
        result.track_running_stats = track_running_stats_.value_or(result.track_running_stats != 0);
        return result;
    }

private:
    std::optional<double> eps_, momentum_;
    std::optional<bool> cumulative_, affine_, track_running_stats_;
};

namespace header {

// What both layers are. Movable, not copyable; a moved-from layer can only be destroyed or assigned to.
class Layer {
public:
    // y may be x. Training: batch statistics, running statistics updated where tracked.
    void forward(const ConstTensor &x, const Tensor &y) { check(hnorm_layer_forward(layer_.get(), x.c(), y.c())); }
    void train(bool training = true) { check(hnorm_layer_train(layer_.get(), training)); }
    void eval() { train(false); }
    bool is_training() const { return hnorm_layer_is_training(layer_.get()) != 0; }
    void reset_running_stats() { check(hnorm_layer_reset_running_stats(layer_.get())); }
    std::int64_t num_features() const { return hnorm_layer_num_features(layer_.get()); }

    // The layer's own arrays, one value a channel, to read and write; empty where the layer has none.
    Span<float> gamma() { return span<float>(hnorm_layer_gamma(layer_.get())); }
    Span<float> beta() { return span<float>(hnorm_layer_beta(layer_.get())); }
    Span<double> running_mean() { return span<double>(hnorm_layer_running_mean(layer_.get())); }
    Span<double> running_var() { return span<double>(hnorm_layer_running_var(layer_.get())); }
    Span<const float> gamma() const { return span<const float>(hnorm_layer_gamma(layer_.get())); }
    Span<const float> beta() const { return span<const float>(hnorm_layer_beta(layer_.get())); }
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

protected:
    Layer(std::int64_t num_features, Group group, const Options &options) {
        const hnorm_layer_options c_options = options.over(hnorm_layer_defaults(c_group(group)));
        hnorm_layer *layer = nullptr;
        check(hnorm_layer_create(num_features, &c_options, &layer));
        layer_.reset(layer);
    }

private:
    template <typename T>
    Span<T> span(T *data) const {
        return {data, data ? static_cast<std::size_t>(num_features()) : 0};
    }

    struct Destroy {
        void operator()(hnorm_layer *layer) const noexcept { hnorm_layer_destroy(layer); }
    };
    std::unique_ptr<hnorm_layer, Destroy> layer_;
};

}  // namespace header

// torch.nn.BatchNorm1d, 2d and 3d: eps 1e-5, momentum 0.1, affine, running statistics.
class BatchNorm : public header::Layer {
public:
    explicit BatchNorm(std::int64_t num_features, const Options &options = Options())
        : Layer(num_features, Group::batch, options) {}
};

// torch.nn.InstanceNorm1d, 2d and 3d: eps 1e-5, momentum 0.1, neither affine nor running statistics.
class InstanceNorm : public header::Layer {
public:
    explicit InstanceNorm(std::int64_t num_features, const Options &options = Options())
        : Layer(num_features, Group::instance, options) {}
};

// ---- machine ------------------------------------------------------------------------------------------------------

inline std::string version() { return hnorm_version(); }

// 1 to 256; 0 restores the default. Never changes results.
inline void set_num_threads(int threads) { header::check(hnorm_set_num_threads(threads)); }
inline int num_threads() { return hnorm_get_num_threads(); }
inline void set_parallel_for(hnorm_parallel_for parallel_for, void *pool = nullptr) {
    header::check(hnorm_set_parallel_for(parallel_for, pool));
}

// A kernel set of this library; unusable says why it cannot run here, and is empty where it can.
struct Target {
    std::string name;
    std::string unusable;
};

// Best first.
inline std::vector<Target> targets() {
    std::vector<Target> result;
    for (int i = 0; i < hnorm_target_count(); ++i) {
        const char *unusable = hnorm_target_unusable(i);
        result.push_back({hnorm_target_name(i), unusable ? unusable : ""});
    }
    return result;
}
// The one in use.
inline std::string target() { return hnorm_target(); }
// Forces one; "" restores the choice.
inline void set_target(const std::string &name) { header::check(hnorm_set_target(name.c_str())); }

}  // namespace hnorm
