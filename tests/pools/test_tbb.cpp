// The promises of hnorm/tbb.hpp.
#include "pools.h"

#include <tbb/global_control.h>
#include <hnorm/tbb.hpp>

#include <chrono>
#include <thread>

using namespace pools;

namespace {

// Four threads, also on a machine with fewer cores.
const tbb::global_control four_threads(tbb::global_control::max_allowed_parallelism, 4);

constexpr hnorm_parallel_for kCounted = counted<hnorm::tbb_parallel_for>;

}  // namespace

TEST_CASE("the threads of oneTBB give the bits of hnorm's own") {
    require_same_bits(kCounted, nullptr);
    tbb::task_arena arena(3);
    require_same_bits(kCounted, &arena);
}

TEST_CASE("oneTBB runs each task once") {
    require_each_task_once(hnorm::tbb_parallel_for, nullptr);
    tbb::task_arena arena(3);
    require_each_task_once(hnorm::tbb_parallel_for, &arena);
}

TEST_CASE("tasks run in the arena that is given") {
    tbb::task_arena arena(3);
    std::atomic<int> elsewhere{0};
    hnorm::tbb_parallel_for(
        &arena, 50,
        [](void *argument, int) {
            *static_cast<std::atomic<int> *>(argument) += tbb::this_task_arena::max_concurrency() != 3;
        },
        &elsewhere);
    REQUIRE(elsewhere == 0);
}

TEST_CASE("hnorm may be called inside a task of oneTBB") {
    const Settings restore;
    expected();
    REQUIRE(hnorm_set_num_threads(3) == HNORM_OK);
    tbb::task_arena arena(4);
    for (void *pool : {static_cast<void *>(nullptr), static_cast<void *>(&arena)}) {
        REQUIRE(hnorm_set_parallel_for(kCounted, pool) == HNORM_OK);
        loops = 0;
        std::atomic<int> wrong{0};
        arena.execute([&] { tbb::parallel_for(0, 8, [&](int) { wrong += !api::same_bits(compute(), expected()); }); });
        REQUIRE(wrong == 0);
        REQUIRE(loops > 0);
    }
}

TEST_CASE("a thread that waits for tasks of hnorm takes no other task of the program") {
    thread_local int depth;
    std::atomic<int> deepest{0};
    tbb::task_arena arena(4);
    for (void *pool : {static_cast<void *>(nullptr), static_cast<void *>(&arena)}) {
        arena.execute([&] {
            tbb::parallel_for(0, 256, [&](int) {
                if (++depth > deepest) deepest = depth;
                hnorm::tbb_parallel_for(
                    pool, 4, [](void *, int i) { std::this_thread::sleep_for(std::chrono::microseconds(100 * i)); },
                    nullptr);
                depth--;
            });
        });
    }
    REQUIRE(deepest == 1);
}
