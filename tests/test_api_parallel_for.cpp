// The promises about a caller's pool (hnorm_set_parallel_for): the same bits whatever it is, and
// one that does not do its work is an error.
#include "serial_bits.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <utility>

using namespace api;

namespace {

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
