// The promises about threads: the same bits however the work is spread, and from however many
// threads at once.
#include "api.h"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <iostream>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <thread>

using namespace api;

namespace {

// Few and many groups; large enough for threads, and small enough not to be.
const std::vector<std::vector<int64_t>> kShapes = {{1, 1, 300, 301}, {1, 3, 256, 250}, {64, 2, 33, 33}, {3, 40, 30, 31},
                                                   {16, 200, 7, 7},  {2, 3, 4, 5},     {6, 400, 3}};

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
Results compute(const std::vector<int64_t> &shape, hnorm_group group) {
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

std::vector<Results> compute_all() {
    std::vector<Results> all;
    for (const std::vector<int64_t> &shape : kShapes)
        for (hnorm_group group : {HNORM_BATCH, HNORM_INSTANCE}) all.push_back(compute(shape, group));
    return all;
}

// The serial bits.
const std::vector<Results> &reference() {
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
void on_threads(int count, const std::function<void(int)> &body) {
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

// A caller's pool that counts how it is used, and starts a thread for each task.
struct Pool {
    std::atomic<int> loops{0}, tasks{0}, largest{0};

    static void run(void *pool, int count, hnorm_task task, void *argument) {
        Pool &self = *static_cast<Pool *>(pool);
        self.loops++;
        self.tasks += count;
        for (int seen = self.largest; count > seen && !self.largest.compare_exchange_weak(seen, count);) {
        }
        on_threads(count, [=](int i) { task(argument, i); });
    }
};

// A pool of the plainest kind: so many threads, a queue, and callers that do nothing while they
// wait.
class QueuePool {
public:
    explicit QueuePool(int count) {
        for (int i = 0; i < count; i++) threads_.emplace_back([this] { serve(); });
    }
    ~QueuePool() {
        push(threads_.size(), {});
        for (std::thread &thread : threads_) thread.join();
    }

    static void run(void *pool, int count, hnorm_task task, void *argument) {
        QueuePool &self = *static_cast<QueuePool *>(pool);
        std::mutex mutex;
        std::condition_variable finished;
        int left = count;
        self.push(static_cast<size_t>(count), [&, task, argument](size_t i) {
            task(argument, static_cast<int>(i));
            const std::lock_guard<std::mutex> lock(mutex);
            if (--left == 0) finished.notify_all();
        });
        std::unique_lock<std::mutex> lock(mutex);
        // A deadlock is a failure, not a test that never ends.
        if (!finished.wait_for(lock, std::chrono::seconds(20), [&] { return left == 0; })) std::abort();
    }

private:
    // No task: a thread that takes it leaves.
    void push(size_t count, const std::function<void(size_t)> &task) {
        const std::lock_guard<std::mutex> lock(mutex_);
        for (size_t i = 0; i < count; i++) tasks_.push_back(task ? [=] { task(i); } : std::function<void()>());
        waiting_.notify_all();
    }
    void serve() {
        for (;;) {
            std::unique_lock<std::mutex> lock(mutex_);
            waiting_.wait(lock, [&] { return !tasks_.empty(); });
            const std::function<void()> task = std::move(tasks_.front());
            tasks_.pop_front();
            lock.unlock();
            if (!task) return;
            task();
        }
    }

    std::mutex mutex_;
    std::condition_variable waiting_;
    std::deque<std::function<void()>> tasks_;
    std::vector<std::thread> threads_;
};

}  // namespace

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

TEST_CASE("the caller's pool does the work, within the number of threads, and gives the serial bits") {
    const Settings restore;
    reference();
    for (int threads : {2, 3, 7}) {
        INFO(threads << " threads");
        Pool pool;
        REQUIRE(hnorm_set_num_threads(threads) == HNORM_OK);
        REQUIRE(hnorm_set_parallel_for(Pool::run, &pool) == HNORM_OK);
        REQUIRE(compute_all() == reference());
        REQUIRE(pool.loops > 0);
        REQUIRE(pool.largest == threads);
        // One thread needs no pool, and neither do small tensors.
        const int before = pool.loops;
        compute({2, 3, 4, 5}, HNORM_BATCH);
        REQUIRE(hnorm_set_num_threads(1) == HNORM_OK);
        REQUIRE(compute_all() == reference());
        REQUIRE(pool.loops == before);
        // Null restores hnorm's own.
        REQUIRE(hnorm_set_num_threads(threads) == HNORM_OK);
        REQUIRE(hnorm_set_parallel_for(nullptr, nullptr) == HNORM_OK);
        REQUIRE(compute_all() == reference());
        REQUIRE(pool.loops == before);
    }
}

TEST_CASE("the caller's pool may run tasks in any order, one after another") {
    const Settings restore;
    reference();
    REQUIRE(hnorm_set_num_threads(5) == HNORM_OK);
    hnorm_set_parallel_for(
        [](void *, int count, hnorm_task task, void *argument) {
            for (int i = count - 1; i >= 0; i--) task(argument, i);
        },
        nullptr);
    REQUIRE(compute_all() == reference());
}

TEST_CASE("hnorm may be called from the tasks of the caller's pool while it uses that pool") {
    const Settings restore;
    reference();
    Pool pool;
    REQUIRE(hnorm_set_num_threads(3) == HNORM_OK);
    REQUIRE(hnorm_set_parallel_for(Pool::run, &pool) == HNORM_OK);
    std::atomic<int> wrong{0};
    Pool::run(
        &pool, 4,
        [](void *argument, int) { *static_cast<std::atomic<int> *>(argument) += !(compute_all() == reference()); },
        &wrong);
    REQUIRE(wrong == 0);
    REQUIRE(pool.loops > 1);
}

TEST_CASE("the caller's pool may be one whose threads wait without working") {
    const Settings restore;
    reference();
    for (int threads : {2, 5}) {
        INFO(threads << " threads");
        QueuePool pool(threads);
        REQUIRE(hnorm_set_num_threads(threads) == HNORM_OK);
        REQUIRE(hnorm_set_parallel_for(QueuePool::run, &pool) == HNORM_OK);
        REQUIRE(compute_all() == reference());
        REQUIRE(hnorm_set_parallel_for(nullptr, nullptr) == HNORM_OK);
    }
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

TEST_CASE("a pool that does not do its work is an error") {
    const Settings restore;
    REQUIRE(hnorm_set_num_threads(2) == HNORM_OK);
    Pair pair({3, 40, 30, 31});
    hnorm_set_parallel_for([](void *, int, hnorm_task, void *) {}, nullptr);
    require_refused(hnorm_forward(&pair.in, HNORM_BATCH, nullptr, 1e-5, nullptr, &pair.out, nullptr, nullptr),
                    HNORM_INVALID_ARGUMENT, {"hnorm_forward: ", "parallel_for returned before its tasks had run"});
    hnorm_set_parallel_for([](void *, int, hnorm_task, void *) { throw std::runtime_error("tired"); }, nullptr);
    require_refused(hnorm_forward(&pair.in, HNORM_BATCH, nullptr, 1e-5, nullptr, &pair.out, nullptr, nullptr),
                    HNORM_INVALID_ARGUMENT, {"hnorm_forward: ", "parallel_for threw an exception"});
    // A layer whose computation failed has learnt nothing.
    Layer layer(40);
    REQUIRE(hnorm_layer_forward(layer, &pair.in, &pair.out) == HNORM_INVALID_ARGUMENT);
    REQUIRE(*hnorm_layer_num_batches_tracked(layer) == 0);
    REQUIRE(hnorm_layer_running_var(layer)[0] == 1.0);
    hnorm_set_parallel_for(nullptr, nullptr);
    REQUIRE(hnorm_forward(&pair.in, HNORM_BATCH, nullptr, 1e-5, nullptr, &pair.out, nullptr, nullptr) == HNORM_OK);
}
