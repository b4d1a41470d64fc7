// The promises about threads: the same bits however the work is spread, and from however many
// threads at once. (A caller's pool: test_api_parallel_for.cpp.)
#include "serial_bits.h"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <thread>

using namespace api;

TEST_CASE("the number of threads, raised and lowered, never changes bits") {
    const Settings restore;
    for (int threads : {2, 7, 1, 3, 256, 2}) {
        INFO(threads << " threads");
        REQUIRE(hnorm_set_num_threads(threads) == HNORM_OK);
        REQUIRE(hnorm_get_num_threads() == threads);
        REQUIRE(compute_all() == reference());
    }
}

TEST_CASE("functions called from many threads at once give the serial bits") {
    const Settings restore;
    reference();
    for (int threads : {1, 3}) {
        REQUIRE(hnorm_set_num_threads(threads) == HNORM_OK);
        std::atomic<int> wrong{0};
        on_threads(6, [&](int) {
            for (int repeat = 0; repeat < 3; repeat++) wrong += !(compute_all() == reference());
        });
        REQUIRE(wrong == 0);
    }
}

TEST_CASE("one layer evaluates on many threads at once") {
    const Settings restore;
    REQUIRE(hnorm_set_num_threads(3) == HNORM_OK);
    Layer layer(40);
    Pair training({4, 40, 16, 16});
    REQUIRE(hnorm_layer_forward(layer, &training.in, &training.out) == HNORM_OK);
    REQUIRE(hnorm_layer_train(layer, 0) == HNORM_OK);
    const Pair alone({4, 40, 16, 16}, 2);
    REQUIRE(hnorm_layer_forward(layer, &alone.in, &alone.out) == HNORM_OK);
    std::atomic<int> wrong{0};
    on_threads(6, [&](int) {
        for (int repeat = 0; repeat < 20; repeat++) {
            Pair pair({4, 40, 16, 16}, 2);
            wrong += hnorm_layer_forward(layer, &pair.in, &pair.out) != HNORM_OK || !same_bits(pair.y, alone.y);
        }
    });
    REQUIRE(wrong == 0);
}

TEST_CASE("distinct layers train on many threads at once") {
    const Settings restore;
    REQUIRE(hnorm_set_num_threads(3) == HNORM_OK);
    for (hnorm_group group : {HNORM_BATCH, HNORM_INSTANCE}) {
        hnorm_layer_options options = hnorm_layer_defaults(group);
        options.track_running_stats = 1;
        const auto steps = [](hnorm_layer *layer) {
            std::vector<double> result;
            for (uint32_t step = 1; step <= 5; step++) {
                Pair pair({4, 24, 20, 20}, step);
                if (hnorm_layer_forward(layer, &pair.in, &pair.out) != HNORM_OK) return std::vector<double>();
            }
            result.assign(hnorm_layer_running_mean(layer), hnorm_layer_running_mean(layer) + 24);
            result.insert(result.end(), hnorm_layer_running_var(layer), hnorm_layer_running_var(layer) + 24);
            return result;
        };
        Layer alone(24, options);
        const std::vector<double> expected = steps(alone);
        REQUIRE(expected.size() == 48);
        std::vector<std::unique_ptr<Layer>> layers;
        for (int i = 0; i < 6; i++) layers.push_back(std::make_unique<Layer>(24, options));
        std::atomic<int> wrong{0};
        on_threads(6, [&](int i) { wrong += !same_bits(steps(*layers[static_cast<size_t>(i)]), expected); });
        REQUIRE(wrong == 0);
    }
}

TEST_CASE("failures are reported to the thread that failed", "[once]") {
    require_refused(hnorm_set_num_threads(-1), HNORM_INVALID_ARGUMENT, {"threads is -1:"});
    const std::string mine = hnorm_last_error();
    std::string other;
    on_threads(1, [&](int) {
        hnorm_set_num_threads(999);
        other = hnorm_last_error();
    });
    REQUIRE(hnorm_last_error() == mine);
    REQUIRE(other.find("threads is 999:") != std::string::npos);
}

TEST_CASE("a child of fork computes the same and ends, also when it was forked while others compute", "[once]") {
#if defined(__SANITIZE_THREAD__)
    WARN("SKIPPED: the thread sanitizer lets no child of fork begin threads");
    return;
#endif
    const Settings restore;
    REQUIRE(hnorm_set_num_threads(3) == HNORM_OK);
    const auto forward = [](Pair &pair) {
        return hnorm_forward(&pair.in, HNORM_BATCH, nullptr, 1e-5, nullptr, &pair.out, nullptr, nullptr) == HNORM_OK;
    };
    const std::vector<int64_t> shape = {8, 16, 32, 32};
    Pair expected(shape);
    REQUIRE(forward(expected));
    std::atomic<bool> stop{false};
    std::vector<std::thread> busy;
#ifdef __SANITIZE_ADDRESS__
    WARN("SKIPPED: forking while others compute: the address sanitizer's own allocator hangs in such a child");
    constexpr int kBusy = 0;
#else
    constexpr int kBusy = 3;
#endif
    for (int i = 0; i < kBusy; i++)
        busy.emplace_back([&] {
            for (Pair pair(shape); !stop;) forward(pair);
        });
    int failures = 0;
    std::cout << std::flush;  // The child's end writes what is left.
    for (int i = 0; i < 150 && !failures; i++) {
        const pid_t child = fork();
        if (child == 0) {
            alarm(20);
            Pair pair(shape);
            const bool same = forward(pair) && same_bits(pair.y, expected.y) && hnorm_set_num_threads(2) == HNORM_OK;
            std::exit(same ? 0 : 1);
        }
        int status = -1;
        failures += child < 0 || waitpid(child, &status, 0) != child || status != 0;
    }
    stop = true;
    for (std::thread &thread : busy) thread.join();
    REQUIRE(failures == 0);
}
