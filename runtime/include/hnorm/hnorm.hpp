/// @file
/// The C++17 interface of hnorm.
///
/// Its functions and classes call those of hnorm.h. The headers of C say for each function the
/// formula, the shapes, the limits, and the effects of a failure. A function that fails throws
/// hnorm::Error. The lengths of arrays are checked: Error says which array has which length, and
/// which length it must have.
///
/// @code{.cpp}
/// #include <hnorm/hnorm.hpp>
///
/// std::vector<float> gamma(64, 1), beta(64), dgamma(64), dbeta(64);
/// std::vector<double> mean(64), variance(64);
/// const hnorm::Affine affine{gamma, beta};
/// hnorm::forward(x, hnorm::Group::batch, affine, 1e-5, y, mean, variance);
/// hnorm::backward(x, dy, hnorm::Group::batch, mean, variance, affine, 1e-5, dx, dgamma, dbeta);
/// @endcode
///
/// layer.hpp has an example of layers, tensor.hpp of tensors, context.hpp of settings, state.hpp of
/// saved layers, and gpu.hpp of devices.
#pragma once

#include <hnorm/hnorm.h>
#include <hnorm/wisdom.h>
#include <hnorm/context.hpp>
#include <hnorm/layer.hpp>
#include <hnorm/tensor.hpp>

#include <optional>
#include <string>
#include <vector>

namespace hnorm {
inline namespace HNORM_VERSION_NAMESPACE {

/// gamma and beta: one value a channel (length C), or one a sample and channel (length N*C, as in
/// AdaIN).
///
/// If both are given, they must have the same length.
struct Affine {
    /// The scale. nullptr: 1 everywhere.
    Span<const float> gamma = nullptr;
    /// The shift. nullptr: 0 everywhere.
    Span<const float> beta = nullptr;
};

/// A residual and an activation after a normalization, in the same pass (hnorm_post_ops):
/// PostOps().residual(r).relu().
///
/// It keeps a pointer to the residual, so the tensor must live as long as the PostOps.
class PostOps {
public:
    /// Applies ReLU, after the residual.
    PostOps &relu() { return activation(HNORM_RELU, 0); }
    /// Applies leaky ReLU, after the residual. The slope is finite and 0 or more.
    PostOps &leaky_relu(float negative_slope) { return activation(HNORM_LEAKY_RELU, negative_slope); }
    /// Adds a tensor before the activation. y may be this tensor.
    PostOps &residual(const ConstTensor &tensor) { return c_.residual = tensor.c(), *this; }
    /// A temporary does not live long enough.
    PostOps &residual(ConstTensor &&) = delete;

    /// The operations for the C interface.
    const hnorm_post_ops *c() const noexcept { return &c_; }

private:
    PostOps &activation(hnorm_activation kind, float negative_slope) {
        return c_.activation = kind, c_.negative_slope = negative_slope, *this;
    }
    hnorm_post_ops c_ = hnorm_post_ops_defaults();
};

/// The gradient of PostOps (hnorm_post_ops_gradient).
///
/// It keeps pointers to the tensors, so they must live as long as the PostOpsGradient.
class PostOpsGradient {
public:
    /// Forward applied ReLU.
    PostOpsGradient &relu() { return activation(HNORM_RELU, 0); }
    /// Forward applied leaky ReLU with this slope.
    PostOpsGradient &leaky_relu(float negative_slope) { return activation(HNORM_LEAKY_RELU, negative_slope); }
    /// The tensor that forward wrote. Give it if forward added a residual and there is an
    /// activation.
    PostOpsGradient &y(const ConstTensor &tensor) { return c_.y = tensor.c(), *this; }
    /// A temporary does not live long enough.
    PostOpsGradient &y(ConstTensor &&) = delete;
    /// Receives the gradient of the residual. It may be dy if dx is not.
    PostOpsGradient &dresidual(const Tensor &tensor) { return c_.dresidual = tensor.c(), *this; }
    /// A temporary does not live long enough.
    PostOpsGradient &dresidual(Tensor &&) = delete;

    /// The gradient for the C interface.
    const hnorm_post_ops_gradient *c() const noexcept { return &c_; }

private:
    PostOpsGradient &activation(hnorm_activation kind, float negative_slope) {
        return c_.activation = kind, c_.negative_slope = negative_slope, *this;
    }
    hnorm_post_ops_gradient c_ = hnorm_post_ops_gradient_defaults();
};

namespace header {
/// @cond internals

// The number of groups, or -1 for a shape that every C function refuses before it looks at an
// array. Its error message is the better one.
inline std::int64_t groups(const ConstTensor &x, Group group) {
    const hnorm_tensor &t = *x.c();
    const std::int64_t limit = 2000000000, n = group == Group::batch ? 1 : t.shape[0];
    const std::int64_t of_channels = static_cast<std::int64_t>(group) - HNORM_GROUPS;
    const std::int64_t c = of_channels > 0 ? of_channels : t.shape[1];
    const bool rank_refused = t.rank < 2 || t.rank > HNORM_MAX_RANK;
    return rank_refused || n < 0 || c < 0 || n > limit || c > limit || n * c > limit ? -1 : n * c;
}

// A vector with one value a group. It is empty if groups is -1.
inline std::vector<double> group_values(std::int64_t groups) {
    return std::vector<double>(groups < 0 ? 0 : static_cast<std::size_t>(groups));
}

// C functions take pointers without lengths. Here lengths are known, so they are checked. The C
// function decides whether an array may be absent.
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
    return hnorm_affine_of_samples(affine.gamma.data(), affine.beta.data(), per_channel ? 0 : channels);
}

/// @endcond
}  // namespace header

// ---- functions ----------------------------------------------------------------------------------

/// The number of elements, the mean and M2 = sum((x - mean)^2) of each group.
struct Moments {
    std::vector<double> count,  ///< The number of elements, one value a group.
        mean,                   ///< The mean, one value a group.
        m2;                     ///< The sum of squared deviations, one value a group.

    /// The biased variance, m2 / count. It is NaN if the count is 0.
    std::vector<double> variance() const {
        std::vector<double> result(m2.size());
        for (std::size_t i = 0; i < m2.size(); ++i) {
            result[i] = m2[i] / count[i];
        }
        return result;
    }

    /// Merges the moments of other samples into these, group by group (hnorm_merge_moments).
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
/// @cond internals

// Functions that return vectors take tensors on the CPU only. For tensors on a device, the
// functions of hnorm.h leave the results there.
inline void check_on_cpu(const char *function, const ConstTensor &x) {
    if (x.device() != Device::cpu) {
        throw Error(HNORM_UNSUPPORTED, std::string(function) +
                                           ": x lies on a device, but the results are vectors on the "
                                           "CPU: hnorm_" +
                                           function + " (hnorm.h) takes arrays");
    }
}

/// @endcond
}  // namespace header

/// Computes the moments of each group (hnorm_moments). x must lie on the CPU.
inline Moments moments(const ConstTensor &x, Group group) {
    header::check_on_cpu("moments", x);
    const std::vector<double> values = header::group_values(header::groups(x, group));
    Moments result{values, values, values};
    header::require_ok(
        hnorm_moments(x.c(), header::c_group(group), result.count.data(), result.mean.data(), result.m2.data()));
    return result;
}

/// Normalizes with given statistics (hnorm_normalize).
///
/// @param x         The input.
/// @param group     The kind of groups.
/// @param mean      One value a group.
/// @param variance  One value a group.
/// @param affine    gamma and beta. {} is 1 and 0.
/// @param eps       Finite and 0 or more.
/// @param y         Receives the result. It may be x or the residual.
/// @param post      A residual and an activation that follow.
inline void normalize(const ConstTensor &x, Group group, Span<const double> mean, Span<const double> variance,
                      const Affine &affine, double eps, const Tensor &y, const PostOps &post = PostOps()) {
    const std::int64_t groups = header::groups(x, group);
    header::check_length("normalize", "mean", mean.size(), groups);
    header::check_length("normalize", "variance", variance.size(), groups);
    const hnorm_affine c_affine = header::c_affine("normalize", x, affine);
    header::require_ok(
        hnorm_normalize(x.c(), header::c_group(group), mean.data(), variance.data(), &c_affine, eps, post.c(), y.c()));
}

/// Normalizes with the statistics of x itself (hnorm_forward).
///
/// @param x         The input.
/// @param group     The kind of groups.
/// @param affine    gamma and beta. {} is 1 and 0.
/// @param eps       Finite and 0 or more.
/// @param y         Receives the result. It may be x or the residual.
/// @param mean      Receives one value a group. May be nullptr.
/// @param variance  Receives the biased variance, one value a group. May be nullptr.
/// @param post      A residual and an activation that follow.
inline void forward(const ConstTensor &x, Group group, const Affine &affine, double eps, const Tensor &y,
                    Span<double> mean = nullptr, Span<double> variance = nullptr, const PostOps &post = PostOps()) {
    const std::int64_t groups = header::groups(x, group);
    header::check_length("forward", "mean", mean.size(), groups);
    header::check_length("forward", "variance", variance.size(), groups);
    const hnorm_affine c_affine = header::c_affine("forward", x, affine);
    header::require_ok(
        hnorm_forward(x.c(), header::c_group(group), &c_affine, eps, post.c(), y.c(), mean.data(), variance.data()));
}

/// Computes tf.nn.batch_normalization of TensorFlow (hnorm_batch_normalization).
///
/// All arrays have one value a channel (C), or all have one value a sample and channel (N*C).
///
/// @param x                 The input.
/// @param mean              The mean.
/// @param variance          The variance.
/// @param offset            The shift, or nullptr for 0.
/// @param scale             The scale, or nullptr for 1.
/// @param variance_epsilon  Finite and 0 or more.
/// @param y                 Receives the result. It may be x.
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

// ---- backward -----------------------------------------------------------------------------------

/// Computes the gradient before an activation from the gradient after it
/// (hnorm_activation_backward).
///
/// @param y               The output of the activation.
/// @param dy              The gradient of the loss at y.
/// @param negative_slope  The slope of leaky ReLU, or 0 for ReLU.
/// @param dz              Receives the result. It may be dy or y.
inline void activation_backward(const ConstTensor &y, const ConstTensor &dy, float negative_slope, const Tensor &dz) {
    header::require_ok(hnorm_activation_backward(y.c(), dy.c(), HNORM_LEAKY_RELU, negative_slope, dz.c()));
}

/// The two sums over each group that backward needs. The sums of several machines can be added.
struct BackwardSums {
    std::vector<double> dy,  ///< sum(dy), one value a group.
        dy_xmu;              ///< sum(dy * (x - mean)), one value a group.
};

/// Computes the sums that backward needs (hnorm_backward_reduce).
///
/// @param x      The input of forward, on the CPU.
/// @param dy     The gradient of the loss at the output.
/// @param group  Group::batch or Group::instance.
/// @param mean   One value a group.
inline BackwardSums backward_reduce(const ConstTensor &x, const ConstTensor &dy, Group group, Span<const double> mean) {
    header::check_on_cpu("backward_reduce", x);
    const std::int64_t groups = header::groups(x, group);
    header::check_length("backward_reduce", "mean", mean.size(), groups);
    BackwardSums result{header::group_values(groups), header::group_values(groups)};
    header::require_ok(hnorm_backward_reduce(x.c(), dy.c(), header::c_group(group), mean.data(), result.dy.data(),
                                             result.dy_xmu.data()));
    return result;
}

/// Computes the gradient with respect to x from given sums (hnorm_backward_apply).
///
/// @param x         The input of forward, on the CPU.
/// @param dy        The gradient of the loss at the output.
/// @param group     Group::batch or Group::instance.
/// @param count     The number of elements of each whole group, on all machines. 1 or more.
/// @param mean      One value a group.
/// @param variance  One value a group, biased.
/// @param sums      The sums of backward_reduce, one value a group each.
/// @param affine    gamma. beta has no effect.
/// @param eps       Finite and 0 or more.
/// @param dx        Receives the result. It may be dy or x.
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
/// @cond internals

// The common part of backward and normalize_backward.
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

/// @endcond
}  // namespace header

/// Computes the gradients of forward (hnorm_backward).
///
/// @param x         The input of forward.
/// @param dy        The gradient of the loss at the output.
/// @param group     The kind of groups, as in forward.
/// @param mean      One value a group, from forward.
/// @param variance  One value a group, from forward.
/// @param affine    gamma and beta of forward.
/// @param eps       The eps of forward.
/// @param dx        Receives the gradient of x. It may be dy or x. std::nullopt if it is not
///                  wanted.
/// @param dgamma    Receives the gradient of gamma. It is as long as the arrays of affine, or has
///                  one value a channel if affine has none. nullptr if it is not wanted.
/// @param dbeta     Receives the gradient of beta, as long as dgamma. nullptr if it is not wanted.
/// @param post      The gradient of the residual and the activation of forward.
inline void backward(const ConstTensor &x, const ConstTensor &dy, Group group, Span<const double> mean,
                     Span<const double> variance, const Affine &affine, double eps, const std::optional<Tensor> &dx,
                     Span<float> dgamma = nullptr, Span<float> dbeta = nullptr,
                     const PostOpsGradient &post = PostOpsGradient()) {
    header::backward("backward", hnorm_backward, x.c(), dy, group, mean, variance, affine, eps, dx ? dx->c() : nullptr,
                     dgamma, dbeta, post);
}

/// Computes the gradients of normalize, where mean and variance are constants
/// (hnorm_normalize_backward).
///
/// @param x         The input of normalize. std::nullopt is allowed if dgamma is nullptr and the
///                  sign of the activation does not depend on x.
/// @param dy        The gradient of the loss at the output.
/// @param group     The kind of groups.
/// @param mean      One value a group.
/// @param variance  One value a group.
/// @param affine    gamma and beta.
/// @param eps       Finite and 0 or more.
/// @param dx        As in backward.
/// @param dgamma    As in backward.
/// @param dbeta     As in backward.
/// @param post      As in backward.
inline void normalize_backward(const std::optional<ConstTensor> &x, const ConstTensor &dy, Group group,
                               Span<const double> mean, Span<const double> variance, const Affine &affine, double eps,
                               const std::optional<Tensor> &dx, Span<float> dgamma = nullptr,
                               Span<float> dbeta = nullptr, const PostOpsGradient &post = PostOpsGradient()) {
    header::backward("normalize_backward", hnorm_normalize_backward, x ? x->c() : nullptr, dy, group, mean, variance,
                     affine, eps, dx ? dx->c() : nullptr, dgamma, dbeta, post);
}

// ---- machine ------------------------------------------------------------------------------------

/// The version of the library: "major.minor.patch".
inline std::string version() { return hnorm_version(); }

/// Sets the number of threads that a call may use: 1 to 256, or 0 for the default
/// (hnorm_set_num_threads). It never changes a result.
inline void set_num_threads(int threads) { header::require_ok(hnorm_set_num_threads(threads)); }
/// The number of threads that a call may use.
inline int num_threads() { return hnorm_get_num_threads(); }
/// Replaces the threads of hnorm by a pool of the caller (hnorm_set_parallel_for). nullptr restores
/// them.
inline void set_parallel_for(hnorm_parallel_for parallel_for, void *pool = nullptr) {
    header::require_ok(hnorm_set_parallel_for(parallel_for, pool));
}

/// Ends the threads of hnorm, and frees the memory that it keeps for later calls. Later calls are
/// allowed (hnorm_shutdown).
inline void shutdown() noexcept { hnorm_shutdown(); }

/// A set of CPU instructions that hnorm has kernels for.
struct Target {
    /// The name, as "x86-64-avx2".
    std::string name;
    /// Why the target cannot run on this machine. Empty if it can.
    std::string unusable;
    /// Which schedule file its kernels are made from on this CPU, and why.
    std::string schedule;
};

/// The targets of this library, best first.
inline std::vector<Target> targets() {
    std::vector<Target> result;
    for (int i = 0; i < hnorm_target_count(); ++i) {
        const char *unusable = hnorm_target_unusable(i);
        result.push_back({hnorm_target_name(i), unusable ? unusable : "", hnorm_target_schedule(i)});
    }
    return result;
}
/// The name of the target in use (hnorm_target).
inline std::string target() { return hnorm_target(); }
/// Forces a target (hnorm_set_target). "" restores the choice of hnorm.
inline void set_target(const std::string &name) { header::require_ok(hnorm_set_target(name.c_str())); }
/// Loads a kernel pack (hnorm_load_pack). "" gives the library its own kernels back.
inline void load_pack(const std::string &path) { header::require_ok(hnorm_load_pack(path.c_str())); }
/// Which pack is in use, or why that of HNORM_PACK is not (hnorm_pack).
inline std::string pack() { return hnorm_pack(); }

/// Reads a wisdom file (hnorm_load_wisdom).
inline void load_wisdom(const std::string &path) { header::require_ok(hnorm_load_wisdom(path.c_str())); }
/// Forgets all wisdom (hnorm_forget_wisdom).
inline void forget_wisdom() { hnorm_forget_wisdom(); }
/// Sentences about the wisdom files that were read: what is in use, and what is ignored and why.
inline std::vector<std::string> wisdom_notes() {
    std::vector<std::string> notes;
    for (int i = 0; i < hnorm_wisdom_note_count(); ++i) {
        const char *const note = hnorm_wisdom_note(i);
        notes.emplace_back(note ? note : "");
    }
    return notes;
}

}  // namespace HNORM_VERSION_NAMESPACE
}  // namespace hnorm
