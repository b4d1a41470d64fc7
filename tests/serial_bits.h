// Everything that hnorm computes from some tensors, and what that is on one thread: for tests of
// threads, on which the bits must be the same.
#pragma once

#include "api.h"

#include <functional>
#include <thread>
#include <vector>

namespace api {

// Few and many groups; large enough for threads, and small enough not to be.
inline const std::vector<std::vector<int64_t>> kShapes = {
    {1, 1, 300, 301}, {1, 3, 256, 250}, {64, 2, 33, 33}, {3, 40, 30, 31}, {16, 200, 7, 7}, {2, 3, 4, 5}, {6, 400, 3}};

// Everything that hnorm computes from one tensor.
struct Results {
    std::vector<char> forward, normalize;  // bytes
    std::vector<double> mean, variance, count, moments_mean, m2;

    bool operator==(const Results &other) const {
        return same_bits(forward, other.forward) && same_bits(normalize, other.normalize) &&
               same_bits(mean, other.mean) && same_bits(variance, other.variance) && same_bits(count, other.count) &&
               same_bits(moments_mean, other.moments_mean) && same_bits(m2, other.m2);
    }
};

// Empty where a function failed: equal to no result.
inline Results compute(const std::vector<int64_t> &shape, hnorm_group group) {
    Pair pair(shape, 7);
    const size_t groups = static_cast<size_t>(group == HNORM_BATCH ? shape[1] : shape[0] * shape[1]);
    std::vector<float> gamma(static_cast<size_t>(shape[1])), beta(gamma.size());
    fill(gamma, 8);
    fill(beta, 9);
    const hnorm_affine affine = hnorm_affine_of(gamma.data(), beta.data());
    Results r;
    r.mean.resize(groups), r.variance.resize(groups), r.count.resize(groups), r.moments_mean.resize(groups);
    r.m2.resize(groups);
    if (hnorm_moments(&pair.in, group, r.count.data(), r.moments_mean.data(), r.m2.data()) != HNORM_OK) return {};
    if (hnorm_forward(&pair.in, group, &affine, 1e-5, nullptr, &pair.out, r.mean.data(), r.variance.data()) != HNORM_OK)
        return {};
    r.forward = pair.y.bytes();
    if (hnorm_normalize(&pair.in, group, r.mean.data(), r.variance.data(), &affine, 1e-5, nullptr, &pair.out) !=
        HNORM_OK)
        return {};
    r.normalize = pair.y.bytes();
    return r;
}

inline std::vector<Results> compute_all() {
    std::vector<Results> all;
    for (const std::vector<int64_t> &shape : kShapes)
        for (hnorm_group group : {HNORM_BATCH, HNORM_INSTANCE}) all.push_back(compute(shape, group));
    return all;
}

// The serial bits.
inline const std::vector<Results> &reference() {
    static const std::vector<Results> results = [] {
        REQUIRE(hnorm_set_num_threads(1) == HNORM_OK);
        std::vector<Results> all = compute_all();
        REQUIRE(hnorm_set_num_threads(0) == HNORM_OK);
        for (const Results &one : all) REQUIRE(!one.forward.empty());
        return all;
    }();
    return results;
}

// Runs body(i) on `count` threads at once.
inline void on_threads(int count, const std::function<void(int)> &body) {
    std::vector<std::thread> threads;
    for (int i = 0; i < count; i++) threads.emplace_back(body, i);
    for (std::thread &thread : threads) thread.join();
}

struct Settings {
    ~Settings() {
        hnorm_set_parallel_for(nullptr, nullptr);
        hnorm_set_num_threads(0);
    }
};

}  // namespace api
