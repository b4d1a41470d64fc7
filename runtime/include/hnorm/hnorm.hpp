// hnorm for C++17: value types and exceptions over hnorm.h, which says what each function computes, its shapes and its
// limits, and what a failure leaves. Every function that fails throws hnorm::Error.
#pragma once

#include <hnorm/hnorm.h>
#include <hnorm/layer.hpp>
#include <hnorm/tensor.hpp>

#include <optional>
#include <string>
#include <vector>

namespace hnorm {

// gamma and beta, each one a channel (length C), or one a sample and channel (length N*C, as in AdaIN); absent: 1 and 0.
// Where both are given they are equally long.
struct Affine {
    Span<const float> gamma = nullptr;
    Span<const float> beta = nullptr;
};

// What follows a normalization in the same pass: PostOps().residual(r).relu(). A tensor given to it must outlive it.
class PostOps {
public:
    PostOps &relu() { return activation(HNORM_RELU, 0); }
    PostOps &leaky_relu(float negative_slope) { return activation(HNORM_LEAKY_RELU, negative_slope); }
    // Added before the activation; y may be it.
    PostOps &residual(const ConstTensor &tensor) { return c_.residual = tensor.c(), *this; }
    PostOps &residual(ConstTensor &&) = delete;

    const hnorm_post_ops *c() const noexcept { return &c_; }

private:
    PostOps &activation(hnorm_activation kind, float negative_slope) {
        return c_.activation = kind, c_.negative_slope = negative_slope, *this;
    }
    hnorm_post_ops c_ = {};
};

// Its gradient. y: what forward wrote, needed where a residual was added and there is an activation. dresidual: receives the
// residual's gradient; it may be dy.
class PostOpsGradient {
public:
    PostOpsGradient &relu() { return activation(HNORM_RELU, 0); }
    PostOpsGradient &leaky_relu(float negative_slope) { return activation(HNORM_LEAKY_RELU, negative_slope); }
    PostOpsGradient &y(const ConstTensor &tensor) { return c_.y = tensor.c(), *this; }
    PostOpsGradient &y(ConstTensor &&) = delete;
    PostOpsGradient &dresidual(const Tensor &tensor) { return c_.dresidual = tensor.c(), *this; }
    PostOpsGradient &dresidual(Tensor &&) = delete;

    const hnorm_post_ops_gradient *c() const noexcept { return &c_; }

private:
    PostOpsGradient &activation(hnorm_activation kind, float negative_slope) {
        return c_.activation = kind, c_.negative_slope = negative_slope, *this;
    }
    hnorm_post_ops_gradient c_ = {};
};

namespace header {

// -1 for shapes that every C function refuses before it looks at an array: theirs is the better reason.
inline std::int64_t groups(const ConstTensor &x, Group group) {
    const hnorm_tensor &t = *x.c();
    const std::int64_t limit = 2000000000, n = group == Group::batch ? 1 : t.shape[0];
    const std::int64_t of_channels = static_cast<std::int64_t>(group) - HNORM_GROUPS;
    const std::int64_t c = of_channels > 0 ? of_channels : t.shape[1];
    const bool rank_refused = t.rank < 2 || t.rank > HNORM_MAX_RANK;
    return rank_refused || n < 0 || c < 0 || n > limit || c > limit || n * c > limit ? -1 : n * c;
}

// A vector for one value a group; empty where there is no number of groups.
inline std::vector<double> group_values(std::int64_t groups) {
    return std::vector<double>(groups < 0 ? 0 : static_cast<std::size_t>(groups));
}

// C functions take bare pointers; here lengths are known, so they are checked. An absent array is the C function's matter.
inline void check_length(const char *function, const char *name, std::size_t length, std::int64_t wanted) {
    if (length != 0 && wanted >= 0 && static_cast<std::int64_t>(length) != wanted) {
        throw Error(HNORM_INVALID_ARGUMENT, std::string(function) + ": " + name + " holds " + std::to_string(length) +
                                                " values but must hold " + std::to_string(wanted));
    }
}

inline hnorm_affine c_affine(const char *function, const ConstTensor &x, const Affine &affine) {
    const std::size_t length = affine.gamma.empty() ? affine.beta.size() : affine.gamma.size();
    const std::int64_t channels = groups(x, Group::batch), all = groups(x, Group::instance);
    check_length(function, "affine.beta", affine.beta.size(), static_cast<std::int64_t>(length));
    if (length != 0 && all >= 0 && static_cast<std::int64_t>(length) != channels &&
        static_cast<std::int64_t>(length) != all) {
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
        header::require_ok(hnorm_merge_moments(groups, count.data(), mean.data(), m2.data(), other.count.data(),
                                               other.mean.data(), other.m2.data()));
    }
};

namespace header {

// Functions that give vectors do it for tensors on the CPU; with hnorm.h's, results stay on a device.
inline void check_on_cpu(const char *function, const ConstTensor &x) {
    if (x.device() != Device::cpu) {
        throw Error(HNORM_UNSUPPORTED, std::string(function) +
                                           ": x lies on a device, but the results are vectors on the "
                                           "CPU: hnorm_" +
                                           function + " (hnorm.h) takes arrays");
    }
}

}  // namespace header

// hnorm_moments, of tensors on the CPU.
inline Moments moments(const ConstTensor &x, Group group) {
    header::check_on_cpu("moments", x);
    const std::vector<double> values = header::group_values(header::groups(x, group));
    Moments result{values, values, values};
    header::require_ok(
        hnorm_moments(x.c(), header::c_group(group), result.count.data(), result.mean.data(), result.m2.data()));
    return result;
}

// hnorm_normalize. mean and variance: one value a group.
inline void normalize(const ConstTensor &x, Group group, Span<const double> mean, Span<const double> variance,
                      const Affine &affine, double eps, const Tensor &y, const PostOps &post = PostOps()) {
    const std::int64_t groups = header::groups(x, group);
    header::check_length("normalize", "mean", mean.size(), groups);
    header::check_length("normalize", "variance", variance.size(), groups);
    const hnorm_affine c_affine = header::c_affine("normalize", x, affine);
    header::require_ok(
        hnorm_normalize(x.c(), header::c_group(group), mean.data(), variance.data(), &c_affine, eps, post.c(), y.c()));
}

// hnorm_forward. mean and variance (biased) receive one value a group where given.
inline void forward(const ConstTensor &x, Group group, const Affine &affine, double eps, const Tensor &y,
                    Span<double> mean = nullptr, Span<double> variance = nullptr, const PostOps &post = PostOps()) {
    const std::int64_t groups = header::groups(x, group);
    header::check_length("forward", "mean", mean.size(), groups);
    header::check_length("forward", "variance", variance.size(), groups);
    const hnorm_affine c_affine = header::c_affine("forward", x, affine);
    header::require_ok(
        hnorm_forward(x.c(), header::c_group(group), &c_affine, eps, post.c(), y.c(), mean.data(), variance.data()));
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
    header::require_ok(hnorm_batch_normalization(x.c(), length, mean.data(), variance.data(), offset.data(),
                                                 scale.data(), variance_epsilon, y.c()));
}

// ---- backward -----------------------------------------------------------------------------------------------------

// hnorm_activation_backward. negative_slope: 0 for ReLU.
inline void activation_backward(const ConstTensor &y, const ConstTensor &dy, float negative_slope, const Tensor &dz) {
    header::require_ok(hnorm_activation_backward(y.c(), dy.c(), HNORM_LEAKY_RELU, negative_slope, dz.c()));
}

// The sums over each group that backward rests on. They add across machines.
struct BackwardSums {
    std::vector<double> dy, dy_xmu;  // of dy, and of dy*(x - mean)
};

// hnorm_backward_reduce, of tensors on the CPU. mean: one value a group.
inline BackwardSums backward_reduce(const ConstTensor &x, const ConstTensor &dy, Group group, Span<const double> mean) {
    header::check_on_cpu("backward_reduce", x);
    const std::int64_t groups = header::groups(x, group);
    header::check_length("backward_reduce", "mean", mean.size(), groups);
    BackwardSums result{header::group_values(groups), header::group_values(groups)};
    header::require_ok(hnorm_backward_reduce(x.c(), dy.c(), header::c_group(group), mean.data(), result.dy.data(),
                                             result.dy_xmu.data()));
    return result;
}

// hnorm_backward_apply, of tensors on the CPU. count, mean, variance and the sums: one value a group.
inline void backward_apply(const ConstTensor &x, const ConstTensor &dy, Group group, Span<const double> count,
                           Span<const double> mean, Span<const double> variance, const BackwardSums &sums,
                           const Affine &affine, double eps, const Tensor &dx) {
    const char *const function = "backward_apply";
    header::check_on_cpu(function, x);
    const std::int64_t groups = header::groups(x, group);
    header::check_length(function, "count", count.size(), groups);
    header::check_length(function, "mean", mean.size(), groups);
    header::check_length(function, "variance", variance.size(), groups);
    const Span<const double> sum_dy = sums.dy, sum_dy_xmu = sums.dy_xmu;
    header::check_length(function, "sums.dy", sum_dy.size(), groups);
    header::check_length(function, "sums.dy_xmu", sum_dy_xmu.size(), groups);
    const hnorm_affine c_affine = header::c_affine(function, x, affine);
    header::require_ok(hnorm_backward_apply(x.c(), dy.c(), header::c_group(group), count.data(), mean.data(),
                                            variance.data(), sum_dy.data(), sum_dy_xmu.data(), &c_affine, eps, dx.c()));
}

namespace header {

// What backward and normalize_backward have in common.
inline void backward(const char *function, decltype(&hnorm_backward) c_function, const hnorm_tensor *x,
                     const ConstTensor &dy, Group group, Span<const double> mean, Span<const double> variance,
                     const Affine &affine, double eps, const hnorm_tensor *dx, Span<float> dgamma, Span<float> dbeta,
                     const PostOpsGradient &post) {
    check_length(function, "mean", mean.size(), groups(dy, group));
    check_length(function, "variance", variance.size(), groups(dy, group));
    const hnorm_affine c = c_affine(function, dy, affine);
    const std::int64_t gradients = groups(dy, c.stride_n == 0 ? Group::batch : Group::instance);
    check_length(function, "dgamma", dgamma.size(), gradients);
    check_length(function, "dbeta", dbeta.size(), gradients);
    require_ok(c_function(x, dy.c(), c_group(group), mean.data(), variance.data(), &c, eps, post.c(), dx, dgamma.data(),
                          dbeta.data()));
}

}  // namespace header

// hnorm_backward. dgamma and dbeta are as long as affine's arrays, or hold one value a channel where it has none; they and
// dx may be absent (nullptr, std::nullopt).
inline void backward(const ConstTensor &x, const ConstTensor &dy, Group group, Span<const double> mean,
                     Span<const double> variance, const Affine &affine, double eps, const std::optional<Tensor> &dx,
                     Span<float> dgamma = nullptr, Span<float> dbeta = nullptr,
                     const PostOpsGradient &post = PostOpsGradient()) {
    header::backward("backward", hnorm_backward, x.c(), dy, group, mean, variance, affine, eps, dx ? dx->c() : nullptr,
                     dgamma, dbeta, post);
}

// hnorm_normalize_backward: the same with mean and variance constants. x may be absent where dgamma is.
inline void normalize_backward(const std::optional<ConstTensor> &x, const ConstTensor &dy, Group group,
                               Span<const double> mean, Span<const double> variance, const Affine &affine, double eps,
                               const std::optional<Tensor> &dx, Span<float> dgamma = nullptr,
                               Span<float> dbeta = nullptr, const PostOpsGradient &post = PostOpsGradient()) {
    header::backward("normalize_backward", hnorm_normalize_backward, x ? x->c() : nullptr, dy, group, mean, variance,
                     affine, eps, dx ? dx->c() : nullptr, dgamma, dbeta, post);
}

// ---- machine ------------------------------------------------------------------------------------------------------

inline std::string version() { return hnorm_version(); }

// 1 to 256; 0 restores the default. Never changes results.
inline void set_num_threads(int threads) { header::require_ok(hnorm_set_num_threads(threads)); }
inline int num_threads() { return hnorm_get_num_threads(); }
inline void set_parallel_for(hnorm_parallel_for parallel_for, void *pool = nullptr) {
    header::require_ok(hnorm_set_parallel_for(parallel_for, pool));
}

// Ends hnorm's threads and frees what is kept for later calls, which may follow.
inline void shutdown() noexcept { hnorm_shutdown(); }

// A target of hnorm; unusable says why it cannot run here, and is empty where it can.
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
inline void set_target(const std::string &name) { header::require_ok(hnorm_set_target(name.c_str())); }

}  // namespace hnorm
