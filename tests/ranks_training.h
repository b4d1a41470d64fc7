// Layers of batch norm that are trained over ranks and in one process, for tests that compare what
// is left.
#pragma once

#include "format.h"
#include "ranks_party.h"

#include <algorithm>
#include <random>
#include <string>
#include <vector>

namespace ranks {

using api::Elements;
using api::Layer;
using api::same_bits;

using Shape = std::vector<int64_t>;
using Split = std::vector<int64_t>;  // samples of each rank

struct Splits {
    Shape shape;  // of the whole tensor
    std::vector<Split> splits;
};

enum class Data { kNormal, kFar, kTiny, kHuge, kConstant, kSteps };
constexpr Data kAllData[] = {Data::kNormal, Data::kFar, Data::kTiny, Data::kHuge, Data::kConstant, Data::kSteps};

// Channels of different kinds, so that some are summed again and others not.
inline void fill(Elements &x, Data data, uint32_t seed) {
    const int64_t channels = x.shape()[1];
    const size_t positions = x.size() / static_cast<size_t>(std::max<int64_t>(x.shape()[0] * channels, 1));
    std::mt19937 random(seed);
    std::normal_distribution<double> normal;
    const bool half = test::tensor_format().type == HNORM_F16;
    for (size_t i = 0; i < x.size(); i++) {
        const size_t channel = i / positions % static_cast<size_t>(channels);
        const double value = normal(random);
        const bool other = channel % 3 == 1;
        double result = value;
        switch (data) {
        case Data::kNormal: break;
        // Far from what the probe sees: a bright part of the last samples.
        case Data::kFar: result = i > x.size() / 10 * 9 && other ? value + 500 : value; break;
        case Data::kTiny: result = other ? value * (half ? 1e-6 : 1e-25) : value; break;
        case Data::kHuge: result = other ? value * (half ? 1e4 : 1e25) : value; break;
        case Data::kConstant: result = other ? 3.25 : value; break;
        case Data::kSteps: result = other ? double(i > x.size() / 2) : value; break;
        }
        x.set(i, static_cast<float>(result));
    }
}

// What ten steps of a layer leave.
struct Trained {
    Elements y, dx, dresidual;
    std::vector<float> gamma_grad, beta_grad;
    std::vector<double> running_mean, running_var;
    int64_t steps = 0;
};

struct Problem {
    Problem(const Shape &shape, Data data, uint32_t seed) : x(shape), dy(shape), residual(shape), shape_(shape) {
        fill(x, data, seed);
        fill(dy, data == Data::kFar ? Data::kNormal : data, seed + 1);
        fill(residual, Data::kNormal, seed + 2);
    }
    const Shape &shape() const { return shape_; }
    int64_t channels() const { return shape_[1]; }
    Elements x, dy, residual;

private:
    Shape shape_;
};

struct Options {
    hnorm_activation activation = HNORM_NO_ACTIVATION;
    bool residual = false;
    int steps = 2;
};

inline hnorm_status train(hnorm_layer *layer, Problem &p, const Options &options, int64_t begin, int64_t count,
                          Trained *t) {
    const hnorm_tensor x = samples_of(p.x.view(), begin, count), dy = samples_of(p.dy.view(), begin, count);
    const hnorm_tensor residual = samples_of(p.residual.view(), begin, count);
    const hnorm_tensor y = t->y.view(), dx = t->dx.view(), dresidual = t->dresidual.view();
    for (int step = 0; step < options.steps; step++) {
        const hnorm_status forward =
            options.residual ? hnorm_layer_forward_add(layer, &x, &residual, &y) : hnorm_layer_forward(layer, &x, &y);
        if (forward != HNORM_OK) return forward;
        const hnorm_status backward = options.residual ? hnorm_layer_backward_add(layer, &x, &y, &dy, &dx, &dresidual)
                                                       : hnorm_layer_backward(layer, &x, &dy, &dx);
        if (backward != HNORM_OK) return backward;
        float *const gamma = hnorm_layer_gamma(layer), *const beta = hnorm_layer_beta(layer);
        for (int64_t c = 0; c < p.channels(); c++) {
            gamma[c] = 1 + 0.125f * static_cast<float>((c + step) % 7);
            beta[c] = 0.25f * static_cast<float>(c % 5 - step);
        }
    }
    const auto channels = static_cast<size_t>(p.channels());
    t->gamma_grad.assign(hnorm_layer_gamma_grad(layer), hnorm_layer_gamma_grad(layer) + channels);
    t->beta_grad.assign(hnorm_layer_beta_grad(layer), hnorm_layer_beta_grad(layer) + channels);
    t->running_mean.assign(hnorm_layer_running_mean(layer), hnorm_layer_running_mean(layer) + channels);
    t->running_var.assign(hnorm_layer_running_var(layer), hnorm_layer_running_var(layer) + channels);
    t->steps = *hnorm_layer_num_batches_tracked(layer);
    return HNORM_OK;
}

inline hnorm_layer_options layer_options(const Options &options) {
    hnorm_layer_options result = hnorm_layer_defaults(HNORM_BATCH);
    result.activation = options.activation;
    return result;
}

inline Trained outputs(const Shape &shape) {
    return {Elements(shape), Elements(shape), Elements(shape), {}, {}, {}, {}, 0};
}

inline Trained alone(Problem &p, const Options &options) {
    Layer layer(p.channels(), layer_options(options));
    Trained t = outputs(p.shape());
    const hnorm_status status = train(layer, p, options, 0, p.shape()[0], &t);
    INFO(hnorm_last_error());
    REQUIRE(status == HNORM_OK);
    return t;
}

// Each rank's own layer and results; y, dx and dresidual are those of all together, in *all.
inline std::vector<Trained> on_split(Problem &p, const Options &options, const Split &split, Trained *together) {
    const int count = static_cast<int>(split.size());
    Group group(count);
    Trained all = outputs(p.shape());
    std::vector<Trained> results(split.size(), outputs({0, p.channels()}));
    std::vector<hnorm_status> statuses(split.size(), HNORM_OK);
    std::vector<std::string> messages(split.size());
    on_ranks(count, [&](int rank) {
        const auto r = static_cast<size_t>(rank);
        int64_t begin = 0;
        for (size_t i = 0; i < r; i++) begin += split[i];
        hnorm_layer *layer = nullptr;
        const hnorm_layer_options its_options = layer_options(options);
        const hnorm_comm comm = group.comm(rank);
        statuses[r] = hnorm_layer_create(p.channels(), &its_options, &layer);
        if (statuses[r] == HNORM_OK) statuses[r] = hnorm_layer_set_comm(layer, &comm);
        Shape its_shape = p.shape();
        its_shape[0] = split[r];
        Trained own = outputs(its_shape);
        if (statuses[r] == HNORM_OK) statuses[r] = train(layer, p, options, begin, split[r], &own);
        messages[r] = hnorm_last_error();
        const auto take = [&](Elements &to, Elements &from) {
            const hnorm_tensor part = samples_of(to.view(), begin, split[r]);
            std::copy(from.bytes().begin(), from.bytes().end(), static_cast<char *>(part.data));
        };
        take(all.y, own.y), take(all.dx, own.dx), take(all.dresidual, own.dresidual);
        results[r].gamma_grad = own.gamma_grad, results[r].beta_grad = own.beta_grad;
        results[r].running_mean = own.running_mean, results[r].running_var = own.running_var;
        results[r].steps = own.steps;
        hnorm_layer_destroy(layer);
    });
    for (size_t r = 0; r < split.size(); r++) {
        INFO("rank " << r << ": " << messages[r]);
        REQUIRE(statuses[r] == HNORM_OK);
    }
    *together = all;
    return results;
}

inline void require_same_layer(const Trained &a, const Trained &b) {
    REQUIRE(a.running_mean == b.running_mean);
    REQUIRE(a.running_var == b.running_var);
    REQUIRE(a.steps == b.steps);
    REQUIRE(same_bits(a.gamma_grad, b.gamma_grad));
    REQUIRE(same_bits(a.beta_grad, b.beta_grad));
}

// All ranks' layers are those of one process, and so is what they have written.
inline void require_exact(Problem &p, const Options &options, const Split &split) {
    const Trained expected = alone(p, options);
    Trained together = outputs(p.shape());
    for (const Trained &result : on_split(p, options, split, &together)) require_same_layer(result, expected);
    REQUIRE(same_bits(together.y, expected.y));
    REQUIRE(same_bits(together.dx, expected.dx));
    if (options.residual) REQUIRE(same_bits(together.dresidual, expected.dresidual));
}

inline std::string describe(const Shape &shape, const Split &split) {
    std::string text = "shape";
    for (int64_t extent : shape) text += " " + std::to_string(extent);
    text += ", split";
    for (int64_t samples : split) text += " " + std::to_string(samples);
    return text;
}

}  // namespace ranks
