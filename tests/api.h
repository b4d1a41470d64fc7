// What the tests of the API share: tensors with a sentinel in the output, and calls that must be
// refused.
#pragma once

#include "catch.hpp"
#include "elements.h"

#include <hnorm/hnorm.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

namespace api {

constexpr double kSentinelDouble = -555.125;

// A fixed sequence in [-1, 1), the same on every machine.
inline void fill(std::vector<float> &values, uint32_t seed) {
    for (float &value : values) {
        seed = seed * 1664525u + 1013904223u;
        value = static_cast<float>(static_cast<int32_t>(seed) >> 8) / 8388608.0f;
    }
}

inline void fill(Elements &elements, uint32_t seed) {
    std::vector<float> values(elements.size());
    fill(values, seed);
    elements.set(values);
}

// x, filled, and y, all sentinels: dense, of one shape.
struct Pair {
    explicit Pair(const std::vector<int64_t> &shape, uint32_t seed = 1)
        : x(shape), y(shape), in(x.view()), out(y.view()) {
        fill(x, seed);
    }
    Pair(const Pair &) = delete;
    Pair &operator=(const Pair &) = delete;

    Elements x, y;
    hnorm_tensor in, out;
};

template <typename T>
bool all_are(const std::vector<T> &values, T value) {
    return std::all_of(values.begin(), values.end(), [&](T v) { return v == value; });
}

template <typename T>
bool same_bits(const std::vector<T> &a, const std::vector<T> &b) {
    return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

// The status, and that the reason contains every one of the words.
inline void require_refused(hnorm_status status, hnorm_status expected, const std::vector<std::string> &words) {
    const std::string reason = hnorm_last_error();
    INFO("status " << hnorm_status_name(status) << ", reason: " << reason);
    REQUIRE(status == expected);
    for (const std::string &word : words) {
        INFO("wanted: " << word);
        REQUIRE(reason.find(word) != std::string::npos);
    }
}

// Arrays for every argument that a function of x and y may take, all sentinels where it writes.
struct Arrays {
    explicit Arrays(size_t groups)
        : count(groups, kSentinelDouble),
          mean(groups, kSentinelDouble),
          m2(groups, kSentinelDouble),
          given_mean(groups, 0.25),
          given_variance(groups, 2.0),
          mean_f(groups, 0.25f),
          variance_f(groups, 2.0f) {}

    bool untouched() const {
        return all_are(count, kSentinelDouble) && all_are(mean, kSentinelDouble) && all_are(m2, kSentinelDouble);
    }

    std::vector<double> count, mean, m2, given_mean, given_variance;
    std::vector<float> mean_f, variance_f;
};

// The functions that compute, each called with good arguments but for the given tensors (and y
// unused by moments).
struct Function {
    const char *name;
    bool writes_y;
    std::function<hnorm_status(const hnorm_tensor *x, const hnorm_tensor *y, Arrays &)> call;
};

// layer: a layer with as many features as x has channels.
inline std::vector<Function> computing_functions(hnorm_layer *layer, int64_t channels) {
    return {
        {"hnorm_moments", false,
         [](const hnorm_tensor *x, const hnorm_tensor *, Arrays &a) {
             return hnorm_moments(x, HNORM_BATCH, a.count.data(), a.mean.data(), a.m2.data());
         }},
        {"hnorm_normalize", true,
         [](const hnorm_tensor *x, const hnorm_tensor *y, Arrays &a) {
             return hnorm_normalize(x, HNORM_BATCH, a.given_mean.data(), a.given_variance.data(), nullptr, 1e-5,
                                    nullptr, y);
         }},
        {"hnorm_forward", true,
         [](const hnorm_tensor *x, const hnorm_tensor *y, Arrays &a) {
             return hnorm_forward(x, HNORM_BATCH, nullptr, 1e-5, nullptr, y, a.mean.data(), a.m2.data());
         }},
        {"hnorm_batch_normalization", true,
         [channels](const hnorm_tensor *x, const hnorm_tensor *y, Arrays &a) {
             return hnorm_batch_normalization(x, channels, a.mean_f.data(), a.variance_f.data(), nullptr, nullptr, 1e-3,
                                              y);
         }},
        {"hnorm_layer_forward", true,
         [layer](const hnorm_tensor *x, const hnorm_tensor *y, Arrays &) { return hnorm_layer_forward(layer, x, y); }},
    };
}

// A layer that destroys itself.
class Layer {
public:
    explicit Layer(int64_t num_features, const hnorm_layer_options &options = hnorm_layer_defaults(HNORM_BATCH)) {
        const hnorm_status status = hnorm_layer_create(num_features, &options, &layer_);
        INFO(hnorm_last_error());
        REQUIRE(status == HNORM_OK);
    }
    ~Layer() { hnorm_layer_destroy(layer_); }
    Layer(const Layer &) = delete;
    Layer &operator=(const Layer &) = delete;
    operator hnorm_layer *() { return layer_; }

private:
    hnorm_layer *layer_ = nullptr;
};

}  // namespace api
