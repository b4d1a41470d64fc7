// hnorm's functions on test tensors: every call checks its status, the padding of all tensors and
// that x was not written.
#pragma once

#include "catch.hpp"
#include "data.h"
#include "tensor.h"

#include <hnorm/hnorm.h>

#include <cstdint>
#include <string>
#include <vector>

namespace test {

constexpr hnorm_group kGroups[] = {HNORM_BATCH, HNORM_INSTANCE};

// Groups of channels: how many there are of a sample, 0 for other groups; and how many channels
// each has.
inline int64_t groups_of_sample(hnorm_group group) { return group > HNORM_GROUPS ? group - HNORM_GROUPS : 0; }
inline int64_t channels_together(const Tensor &x, hnorm_group group) {
    const int64_t groups = groups_of_sample(group);
    return groups ? x.channels() / groups : 1;
}

inline std::string name(hnorm_group group) {
    const int64_t groups = groups_of_sample(group);
    return groups ? "groups(" + std::to_string(groups) + ")" : group == HNORM_BATCH ? "batch" : "instance";
}

inline int64_t group_count(const Tensor &x, hnorm_group group) {
    return group == HNORM_BATCH ? x.channels() : x.samples() * x.channels() / channels_together(x, group);
}
inline int64_t group_size(const Tensor &x, hnorm_group group) {
    return x.positions() * (group == HNORM_BATCH ? x.samples() : channels_together(x, group));
}
inline int64_t group_of(const Tensor &x, hnorm_group group, int64_t n, int64_t c) {
    return group == HNORM_BATCH ? c : (n * x.channels() + c) / channels_together(x, group);
}

enum class AffineKind { kNone, kChannel, kSampleAndChannel, kGammaOnly, kBetaOnly };
constexpr AffineKind kAffineKinds[] = {AffineKind::kNone, AffineKind::kChannel, AffineKind::kSampleAndChannel,
                                       AffineKind::kGammaOnly, AffineKind::kBetaOnly};

// gamma in +-[0.5, 2), beta in [-2, 2): per channel, or per sample and channel.
struct Affine {
    AffineKind kind;
    int64_t channels;
    std::vector<float> gammas, betas;

    Affine(AffineKind kind_, const Tensor &x, uint64_t seed = 1) : kind(kind_), channels(x.channels()) {
        Random random(seed);
        const int64_t count = kind == AffineKind::kSampleAndChannel ? x.samples() * channels : channels;
        for (int64_t i = 0; i < count; i++) {
            const double size = 0.5 + 1.5 * random.uniform();
            gammas.push_back(static_cast<float>(random.index(4) ? size : -size));
            betas.push_back(static_cast<float>(4 * random.uniform() - 2));
        }
    }
    float gamma(int64_t n, int64_t c) const {
        return kind == AffineKind::kNone || kind == AffineKind::kBetaOnly ? 1 : gammas[index(n, c)];
    }
    float beta(int64_t n, int64_t c) const {
        return kind == AffineKind::kNone || kind == AffineKind::kGammaOnly ? 0 : betas[index(n, c)];
    }
    hnorm_affine view() const {
        return hnorm_affine_of_samples(kind == AffineKind::kBetaOnly ? nullptr : gammas.data(),
                                       kind == AffineKind::kGammaOnly ? nullptr : betas.data(),
                                       kind == AffineKind::kSampleAndChannel ? channels : 0);
    }
    // Elements of gamma's or beta's gradient.
    size_t parameters(const Tensor &x) const {
        return static_cast<size_t>(kind == AffineKind::kSampleAndChannel ? x.samples() * channels : channels);
    }
    const char *describe() const {
        switch (kind) {
        case AffineKind::kNone: return "no affine";
        case AffineKind::kChannel: return "affine per channel";
        case AffineKind::kSampleAndChannel: return "affine per sample and channel";
        case AffineKind::kGammaOnly: return "gamma only";
        case AffineKind::kBetaOnly: return "beta only";
        }
        return "?";
    }

private:
    size_t index(int64_t n, int64_t c) const {
        return static_cast<size_t>(kind == AffineKind::kSampleAndChannel ? n * channels + c : c);
    }
};

struct Activation {
    hnorm_activation kind = HNORM_NO_ACTIVATION;
    float negative_slope = -1;  // refused if it were read

    float slope() const { return kind == HNORM_NO_ACTIVATION ? 1 : kind == HNORM_RELU ? 0 : negative_slope; }
    std::string describe() const { return "slope " + std::to_string(slope()); }
};
constexpr Activation kActivations[] = {{HNORM_NO_ACTIVATION, -1},
                                       {HNORM_RELU, -1},
                                       {HNORM_LEAKY_RELU, 0.01f},
                                       {HNORM_LEAKY_RELU, 1.5f},
                                       {HNORM_LEAKY_RELU, 0}};

// What follows a normalization. residual: null for none.
struct Post {
    Activation activation;
    const Tensor *residual = nullptr;
};

struct Statistics {
    std::vector<double> count, mean, m2;
};

inline void require_ok(const char *function, hnorm_status status) {
    if (status != HNORM_OK) FAIL(function << ": " << hnorm_status_name(status) << ": " << hnorm_last_error());
}

// Reads what the function left in memory.
inline void check_padding(const char *function, const char *which, const Tensor &tensor) {
    tensor.load();
    const std::string damage = tensor.damage();
    if (!damage.empty()) FAIL(function << ": " << which << " " << tensor.describe() << " " << damage);
}

inline void check_input(const char *function, const Tensor &x, const std::vector<float> &before,
                        const char *which = "x") {
    check_padding(function, which, x);
    if (!before.empty() && std::memcmp(before.data(), x.values().data(), sizeof(float) * before.size()))
        FAIL(function << " wrote into its input " << which);
}

// All elements, dense.
inline std::vector<float> elements(const Tensor &x) { return x.values(); }

inline Statistics moments(const Tensor &x, hnorm_group group) {
    const size_t groups = static_cast<size_t>(group_count(x, group));
    const std::vector<float> before = elements(x);
    Statistics result{std::vector<double>(groups + 1, -1), std::vector<double>(groups + 1, -1),
                      std::vector<double>(groups + 1, -1)};
    const hnorm_tensor view = x.view();
    require_ok("hnorm_moments", hnorm_moments(&view, group, result.count.data(), result.mean.data(), result.m2.data()));
    for (std::vector<double> *list : {&result.count, &result.mean, &result.m2}) {
        if (list->back() != -1) FAIL("hnorm_moments wrote beyond the last group");
        list->pop_back();
    }
    check_input("hnorm_moments", x, before);
    return result;
}

// The biased variances of moments().
inline std::vector<double> variances(const Statistics &statistics) {
    std::vector<double> result;
    for (size_t g = 0; g < statistics.m2.size(); g++) result.push_back(statistics.m2[g] / statistics.count[g]);
    return result;
}

// Calls call(x, post, y), views, and checks that it wrote y alone, which may be x or the residual.
// y's elements are the sentinel before the call, so that one left unwritten shows.
template <typename Call>
void check_forward_call(const char *function, const Tensor &x, const Post &post, Tensor &y, Call call) {
    const bool in_x = &x == &y, in_residual = post.residual == &y;
    const std::vector<float> x_before = in_x ? std::vector<float>() : elements(x);
    const std::vector<float> residual_before =
        post.residual && !in_residual ? elements(*post.residual) : std::vector<float>();
    if (!in_x && !in_residual) y.clear();
    const hnorm_tensor x_view = x.view(), y_view = y.view(),
                       residual = post.residual ? post.residual->view() : hnorm_tensor();
    const hnorm_post_ops post_ops = {sizeof(hnorm_post_ops), post.activation.kind, post.activation.negative_slope,
                                     post.residual ? &residual : nullptr};
    const bool none = post.activation.kind == HNORM_NO_ACTIVATION && !post.residual;
    require_ok(function, call(&x_view, none ? nullptr : &post_ops, &y_view));
    if (!in_x) check_input(function, x, x_before);
    if (post.residual && !in_residual) check_input(function, *post.residual, residual_before, "residual");
    check_padding(function, "y", y);
}

inline void normalize(const Tensor &x, hnorm_group group, const std::vector<double> &mean,
                      const std::vector<double> &variance, const Affine &affine, double eps, Tensor &y,
                      const Post &post = {}) {
    const hnorm_affine parameters = affine.view();
    check_forward_call("hnorm_normalize", x, post, y,
                       [&](const hnorm_tensor *x_view, const hnorm_post_ops *post_ops, const hnorm_tensor *y_view) {
                           return hnorm_normalize(x_view, group, mean.data(), variance.data(),
                                                  affine.kind == AffineKind::kNone ? nullptr : &parameters, eps,
                                                  post_ops, y_view);
                       });
}

struct MeanAndVariance {
    std::vector<double> mean, variance;
};

inline MeanAndVariance forward(const Tensor &x, hnorm_group group, const Affine &affine, double eps, Tensor &y,
                               const Post &post = {}) {
    const size_t groups = static_cast<size_t>(group_count(x, group));
    MeanAndVariance result{std::vector<double>(groups + 1, -1), std::vector<double>(groups + 1, -1)};
    const hnorm_affine parameters = affine.view();
    check_forward_call("hnorm_forward", x, post, y,
                       [&](const hnorm_tensor *x_view, const hnorm_post_ops *post_ops, const hnorm_tensor *y_view) {
                           return hnorm_forward(x_view, group, affine.kind == AffineKind::kNone ? nullptr : &parameters,
                                                eps, post_ops, y_view, result.mean.data(), result.variance.data());
                       });
    for (std::vector<double> *list : {&result.mean, &result.variance}) {
        if (list->back() != -1) FAIL("hnorm_forward wrote beyond the last group");
        list->pop_back();
    }
    return result;
}

struct Sums {
    std::vector<double> dy, dy_xmu;  // of each group: of dy, and of dy * (x - mean)
};

inline Sums backward_reduce(const Tensor &x, const Tensor &dy, hnorm_group group, const std::vector<double> &mean) {
    const size_t groups = static_cast<size_t>(group_count(x, group));
    const std::vector<float> x_before = elements(x), dy_before = elements(dy);
    Sums result{std::vector<double>(groups + 1, -1), std::vector<double>(groups + 1, -1)};
    const hnorm_tensor x_view = x.view(), dy_view = dy.view();
    require_ok("hnorm_backward_reduce",
               hnorm_backward_reduce(&x_view, &dy_view, group, mean.data(), result.dy.data(), result.dy_xmu.data()));
    for (std::vector<double> *list : {&result.dy, &result.dy_xmu}) {
        if (list->back() != -1) FAIL("hnorm_backward_reduce wrote beyond the last group");
        list->pop_back();
    }
    check_input("hnorm_backward_reduce", x, x_before);
    check_input("hnorm_backward_reduce", dy, dy_before, "dy");
    return result;
}

// Calls call(x, dy, dx), views or null, and checks that it wrote dx alone, which may be dy or x;
// and dy, where it may.
template <typename Call>
void check_backward_call(const char *function, const Tensor *x, const Tensor &dy, Tensor *dx, bool may_write_dy,
                         Call call) {
    const bool keeps_dy = &dy != dx && !may_write_dy;
    const std::vector<float> x_before = x && x != dx ? elements(*x) : std::vector<float>();
    const std::vector<float> dy_before = keeps_dy ? elements(dy) : std::vector<float>();
    if (dx && dx != x && dx != &dy) dx->clear();
    const hnorm_tensor x_view = x ? x->view() : hnorm_tensor(), dy_view = dy.view(),
                       dx_view = dx ? dx->view() : hnorm_tensor();
    require_ok(function, call(x ? &x_view : nullptr, &dy_view, dx ? &dx_view : nullptr));
    if (x && x != dx) check_input(function, *x, x_before);
    if (keeps_dy) check_input(function, dy, dy_before, "dy");
    if (dx) check_padding(function, "dx", *dx);
}

inline void backward_apply(const Tensor &x, const Tensor &dy, hnorm_group group, const std::vector<double> &count,
                           const std::vector<double> &mean, const std::vector<double> &variance, const Sums &sums,
                           const Affine &affine, double eps, Tensor &dx) {
    const hnorm_affine parameters = affine.view();
    check_backward_call("hnorm_backward_apply", &x, dy, &dx, false,
                        [&](const hnorm_tensor *x_view, const hnorm_tensor *dy_view, const hnorm_tensor *dx_view) {
                            return hnorm_backward_apply(x_view, dy_view, group, count.data(), mean.data(),
                                                        variance.data(), sums.dy.data(), sums.dy_xmu.data(),
                                                        affine.kind == AffineKind::kNone ? nullptr : &parameters, eps,
                                                        dx_view);
                        });
}

struct ParameterGradients {
    std::vector<float> dgamma, dbeta;
};

// The gradient of what followed a normalization. y: null where there was no residual; dresidual:
// null where not wanted.
struct PostGradient {
    Activation activation;
    const Tensor *y = nullptr;
    Tensor *dresidual = nullptr;
};

enum class Wanted { kBoth, kGamma, kBeta, kNeither };  // of the parameters' gradients

// hnorm_backward, or hnorm_normalize_backward where frozen. dx may be null, dy or x; x may be null
// where frozen and dgamma is not wanted.
inline ParameterGradients backward(const Tensor *x, const Tensor &dy, hnorm_group group,
                                   const std::vector<double> &mean, const std::vector<double> &variance,
                                   const Affine &affine, double eps, bool frozen, Tensor *dx,
                                   Wanted wanted = Wanted::kBoth, const PostGradient &post = {}) {
    const char *function = frozen ? "hnorm_normalize_backward" : "hnorm_backward";
    const size_t count = affine.parameters(dy);
    ParameterGradients result;
    if (wanted == Wanted::kBoth || wanted == Wanted::kGamma) result.dgamma.assign(count + 1, -1);
    if (wanted == Wanted::kBoth || wanted == Wanted::kBeta) result.dbeta.assign(count + 1, -1);
    const hnorm_affine parameters = affine.view();
    const std::vector<float> y_before = post.y ? elements(*post.y) : std::vector<float>();
    const hnorm_tensor y = post.y ? post.y->view() : hnorm_tensor(),
                       dresidual = post.dresidual ? post.dresidual->view() : hnorm_tensor();
    if (post.dresidual && post.dresidual != &dy) post.dresidual->clear();
    const hnorm_post_ops_gradient post_ops = {sizeof(hnorm_post_ops_gradient), post.activation.kind,
                                              post.activation.negative_slope, post.y ? &y : nullptr,
                                              post.dresidual ? &dresidual : nullptr};
    const bool none = post.activation.kind == HNORM_NO_ACTIVATION && !post.y && !post.dresidual;
    check_backward_call(function, x, dy, dx, post.dresidual == &dy,
                        [&](const hnorm_tensor *x_view, const hnorm_tensor *dy_view, const hnorm_tensor *dx_view) {
                            return (frozen ? hnorm_normalize_backward : hnorm_backward)(
                                x_view, dy_view, group, mean.data(), variance.data(),
                                affine.kind == AffineKind::kNone ? nullptr : &parameters, eps,
                                none ? nullptr : &post_ops, dx_view,
                                result.dgamma.empty() ? nullptr : result.dgamma.data(),
                                result.dbeta.empty() ? nullptr : result.dbeta.data());
                        });
    if (post.y) check_input(function, *post.y, y_before, "y");
    if (post.dresidual) check_padding(function, "dresidual", *post.dresidual);
    for (std::vector<float> *list : {&result.dgamma, &result.dbeta}) {
        if (list->empty()) continue;
        if (list->back() != -1) FAIL(function << " wrote beyond the last parameter");
        list->pop_back();
    }
    return result;
}

}  // namespace test
