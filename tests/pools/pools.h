// What hnorm computes on the threads of another library, and what its tasks are asked.
#pragma once

#include "../api.h"

#include <hnorm/hnorm.hpp>

#include <atomic>

namespace pools {

struct Settings {
    ~Settings() {
        hnorm_set_parallel_for(nullptr, nullptr);
        hnorm_set_num_threads(0);
    }
};

// y, dx, dgamma and dbeta of a training step, large enough for threads.
inline std::vector<float> compute() {
    constexpr int kChannels = 16;
    constexpr size_t kSize = 8 * kChannels * 32 * 32;
    std::vector<float> x(kSize), dy(kSize), results(2 * kSize);
    api::fill(x, 1);
    api::fill(dy, 2);
    const auto tensor = [](float *data) { return hnorm::nchw(data, {8, kChannels, 32, 32}); };
    hnorm::BatchNorm bn(kChannels);
    bn.forward(tensor(x.data()), tensor(results.data()));
    bn.backward(tensor(x.data()), tensor(dy.data()), tensor(results.data() + kSize));
    for (const auto &gradient : {bn.gamma_grad(), bn.beta_grad()})
        results.insert(results.end(), gradient.begin(), gradient.end());
    return results;
}

// On hnorm's own threads.
inline const std::vector<float> &expected() {
    static const std::vector<float> results = compute();
    return results;
}

inline std::atomic<int> loops{0};
// The loop, and how often it was asked for.
template <hnorm_parallel_for loop>
void counted(void *pool, int count, hnorm_task task, void *argument) {
    ++loops;
    loop(pool, count, task, argument);
}

inline void require_same_bits(hnorm_parallel_for counted_loop, void *pool) {
    const Settings restore;
    expected();
    REQUIRE(hnorm_set_parallel_for(counted_loop, pool) == HNORM_OK);
    for (int threads : {2, 3, 7}) {
        INFO(threads << " threads");
        REQUIRE(hnorm_set_num_threads(threads) == HNORM_OK);
        loops = 0;
        REQUIRE(api::same_bits(compute(), expected()));
        REQUIRE(loops > 0);
    }
}

inline void require_each_task_once(hnorm_parallel_for loop, void *pool) {
    for (int count : {0, 1, 2, 255, 1000}) {
        std::vector<std::atomic<int>> runs(static_cast<size_t>(count));
        loop(pool, count, [](void *argument, int i) { ++static_cast<std::atomic<int> *>(argument)[i]; }, runs.data());
        INFO(count << " tasks");
        REQUIRE(std::all_of(runs.begin(), runs.end(), [](int n) { return n == 1; }));
    }
}

}  // namespace pools
