// What the transcription gives for whole tensors: the view of docs/order.md, from samples and
// channels to groups.
#pragma once

#include "calls.h"
#include "transcription.h"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace test {

// kKernel: as a kernel sums what it is given, which does not know of few channels.
enum class Order { kWhole, kKernel };

inline transcription::Group transcribed_group(const Tensor &x, hnorm_group group, int64_t n, int64_t c,
                                              Order order = Order::kWhole) {
    const int64_t samples = x.channels() * x.positions();  // between them, of the dense values
    const bool last = x.format().channels_last;
    const bool few_channels =
        order == Order::kWhole && last && transcription::few_channels(x.positions(), x.channels());
    if (group == HNORM_INSTANCE) return {x.plane(n, c), x.positions(), 1, 0, last, few_channels};
    if (x.positions() == 1)
        return {x.plane(0, c), x.samples(), 1, 0, true, transcription::few_channels(x.samples(), x.channels()),
                samples};
    // Many samples of tiny planes: samples are positions, and positions planes.
    if (order == Order::kWhole && !last && x.positions() < 16 && x.samples() >= 256)
        return {x.plane(0, c), x.samples(), x.positions(), 1, true, false, samples};
    return {x.plane(0, c), x.positions(), x.samples(), samples, last, few_channels};
}

// A group of `together` channels of a sample, the first of them c, where it is one reduction.
inline transcription::Group transcribed_channels(const Tensor &x, int64_t together, int64_t n, int64_t c) {
    if (x.positions() == 1) return {x.plane(n, c), together, 1, 0, false, false};
    return {x.plane(n, c), x.positions(), together, x.positions(), false, false};
}

// Groups of channels of a channels-last tensor: the moments of each channel of a sample, merged.
inline Statistics merged_channels(const Statistics &channels, int64_t together) {
    Statistics result;
    for (size_t first = 0; first < channels.mean.size(); first += static_cast<size_t>(together)) {
        double mean = 0, m2 = 0, between = 0;
        for (size_t i = first; i < first + static_cast<size_t>(together); i++) {
            mean += channels.mean[i];
            m2 += channels.m2[i];
        }
        mean /= static_cast<double>(together);
        for (size_t i = first; i < first + static_cast<size_t>(together); i++)
            between += (channels.mean[i] - mean) * (channels.mean[i] - mean);
        result.count.push_back(channels.count[first] * static_cast<double>(together));
        result.mean.push_back(mean);
        result.m2.push_back(m2 + channels.count[first] * between);
    }
    return result;
}

inline Statistics transcribed_moments(const Tensor &x, hnorm_group group, Order order = Order::kWhole) {
    const int64_t together = channels_together(x, group), of_sample = x.channels() / together;
    if (together > 1 && x.format().channels_last && x.positions() > 1)
        return merged_channels(transcribed_moments(x, HNORM_INSTANCE, order), together);
    if (together == 1 && groups_of_sample(group)) return transcribed_moments(x, HNORM_INSTANCE, order);
    Statistics result;
    for (int64_t g = 0; g < group_count(x, group); g++) {
        const int64_t n = g / of_sample, c = g % of_sample * together;
        const transcription::Group view =
            together > 1 ? transcribed_channels(x, together, n, c) : transcribed_group(x, group, n, c, order);
        const transcription::Moments moments = transcription::moments(view);
        result.count.push_back(static_cast<double>(group_size(x, group)));
        result.mean.push_back(moments.mean);
        result.m2.push_back(moments.M2);
    }
    return result;
}

// Before the activation, dense and not rounded to what elements can be; residual: null for none.
inline std::vector<float> transcribed_z(const Tensor &x, hnorm_group group, const std::vector<double> &mean,
                                        const std::vector<double> &variance, const Affine &affine, double eps,
                                        const Tensor *residual = nullptr) {
    std::vector<float> result;
    result.reserve(static_cast<size_t>(x.size()));
    for (int64_t n = 0; n < x.samples(); n++) {
        for (int64_t c = 0; c < x.channels(); c++) {
            const size_t g = static_cast<size_t>(group_of(x, group, n, c));
            const transcription::Pointwise z(mean[g], variance[g], affine.gamma(n, c), affine.beta(n, c), eps);
            for (int64_t s = 0; s < x.positions(); s++) {
                result.push_back(z(x.at(n, c, s)));
                if (residual) result.back() = result.back() + residual->at(n, c, s);
            }
        }
    }
    return result;
}

// Dense, as elements().
inline std::vector<float> transcribed_normalize(const Tensor &x, hnorm_group group, const std::vector<double> &mean,
                                                const std::vector<double> &variance, const Affine &affine, double eps,
                                                const Post &post = {}) {
    std::vector<float> result = transcribed_z(x, group, mean, variance, affine, eps, post.residual);
    for (float &z : result) z = rounded(transcription::activated(z, post.activation.slope()));
    return result;
}

inline Sums transcribed_sums(const Tensor &x, const Tensor &dy, hnorm_group group, const std::vector<double> &mean,
                             Order order = Order::kWhole) {
    Sums result;
    for (int64_t g = 0; g < group_count(x, group); g++) {
        const int64_t n = g / x.channels(), c = g % x.channels();
        const transcription::GradientSums sums =
            transcription::gradient_sums(transcribed_group(x, group, n, c, order),
                                         transcribed_group(dy, group, n, c, order), mean[static_cast<size_t>(g)]);
        result.dy.push_back(sums.dy);
        result.dy_xmu.push_back(sums.dy_xmu);
    }
    return result;
}

// The sums of gamma*dy and gamma*dy*(x - mean) that dx follows from.
struct WeightedSums {
    std::vector<double> g1, g2;
};

inline WeightedSums transcribed_weights(const Tensor &x, hnorm_group group, const Sums &sums, const Affine &affine) {
    WeightedSums result;
    for (int64_t g = 0; g < group_count(x, group); g++) {
        const double gamma = affine.gamma(g / x.channels(), g % x.channels());
        result.g1.push_back(gamma * sums.dy[static_cast<size_t>(g)]);
        result.g2.push_back(gamma * sums.dy_xmu[static_cast<size_t>(g)]);
    }
    return result;
}

// dx, dense. total: elements of each group, of all machines.
inline std::vector<float> transcribed_dx(const Tensor &x, const Tensor &dy, hnorm_group group,
                                         const std::vector<double> &total, const std::vector<double> &mean,
                                         const std::vector<double> &variance, const WeightedSums &sums,
                                         const Affine &affine, double eps) {
    std::vector<float> result;
    result.reserve(static_cast<size_t>(x.size()));
    for (int64_t n = 0; n < x.samples(); n++) {
        for (int64_t c = 0; c < x.channels(); c++) {
            const size_t g = static_cast<size_t>(group_of(x, group, n, c));
            const transcription::BackwardPointwise dx(mean[g], variance[g], affine.gamma(n, c), sums.g1[g], sums.g2[g],
                                                      total[g], eps);
            for (int64_t s = 0; s < x.positions(); s++) result.push_back(rounded(dx(x.at(n, c, s), dy.at(n, c, s))));
        }
    }
    return result;
}

// Frozen statistics: normalize with dy for x, mean 0 and beta 0.
inline std::vector<float> transcribed_frozen_dx(const Tensor &dy, hnorm_group group,
                                                const std::vector<double> &variance, Affine affine, double eps) {
    std::fill(affine.betas.begin(), affine.betas.end(), 0.0f);
    return transcribed_normalize(dy, group, std::vector<double>(variance.size(), 0), variance, affine, eps);
}

// dy behind the activation's gradient, dense, from z or y, dense too.
inline std::vector<float> transcribed_gate(const Tensor &dy, const std::vector<float> &z,
                                           const Activation &activation) {
    std::vector<float> result = elements(dy);
    for (size_t i = 0; i < result.size(); i++)
        result[i] = transcription::activated_gradient(z[i], result[i], activation.slope());
    return result;
}

struct TranscribedGradients {
    std::vector<float> dx;  // dense
    ParameterGradients parameters;
};

// All that hnorm_backward gives, or hnorm_normalize_backward where frozen; dy is behind the gate
// already where the sign of x decides (gated), or there is no activation.
inline TranscribedGradients transcribed_gradients(const Tensor &x, const Tensor &dy, hnorm_group group,
                                                  const std::vector<double> &mean, const std::vector<double> &variance,
                                                  const Affine &affine, double eps, bool frozen, bool gated = false) {
    const bool per_sample = affine.kind == AffineKind::kSampleAndChannel && x.samples() > 1;
    // gamma and beta of each sample need the sums of each sample, also where groups span the
    // samples those of each channel where channels are together
    if (groups_of_sample(group) == x.channels()) group = HNORM_INSTANCE;
    const hnorm_group parts = per_sample || groups_of_sample(group) ? HNORM_INSTANCE : group;
    std::vector<double> means;
    for (int64_t i = 0; i < group_count(x, parts); i++)
        means.push_back(mean[static_cast<size_t>(group_of(x, group, i / x.channels(), i % x.channels()))]);
    const Sums sums = transcribed_sums(x, dy, parts, means);

    const size_t groups = static_cast<size_t>(group_count(x, group));
    const WeightedSums of_parts = transcribed_weights(x, parts, sums, affine);
    WeightedSums of_groups{std::vector<double>(groups, 0), std::vector<double>(groups, 0)};
    std::vector<double> dgamma(affine.parameters(x), 0), dbeta(affine.parameters(x), 0);
    // Sums start at 0, but what is not summed is taken as it is: 0 + -0 is another bit pattern than
    // -0.
    const auto add = [](double &sum, double value, bool shared) { sum = shared ? sum + value : value; };
    for (int64_t i = 0; i < group_count(x, parts); i++) {
        const size_t part = static_cast<size_t>(i);
        const size_t g = static_cast<size_t>(group_of(x, group, i / x.channels(), i % x.channels()));
        add(of_groups.g1[g], of_parts.g1[part], parts != group);
        add(of_groups.g2[g], of_parts.g2[part], parts != group);
        // those of the first sample, and then the others'
        const size_t p = per_sample ? part : static_cast<size_t>(i % x.channels());
        add(dgamma[p], sums.dy_xmu[part] * transcription::invstd(variance[g], eps), p != part);
        add(dbeta[p], sums.dy[part], p != part);
    }

    const std::vector<double> total(groups, static_cast<double>(group_size(x, group)));
    TranscribedGradients result;
    const std::vector<double> zeros(groups, 0), ones(groups, 1);
    result.dx = frozen && gated ? transcribed_dx(x, dy, group, ones, mean, variance, {zeros, zeros}, affine, eps)
                : frozen        ? transcribed_frozen_dx(dy, group, variance, affine, eps)
                                : transcribed_dx(x, dy, group, total, mean, variance, of_groups, affine, eps);
    for (double value : dgamma) result.parameters.dgamma.push_back(static_cast<float>(value));
    for (double value : dbeta) result.parameters.dbeta.push_back(static_cast<float>(value));
    return result;
}

}  // namespace test
