/// @file
/// Runs hnorm on the threads of oneTBB, for programs that compute on them already.
///
/// Otherwise such a program has two sets of threads, and the waiting threads of one slow down the
/// other. The program must link oneTBB (CMake: TBB::tbb). The library itself does not need it.
///
/// @code{.cpp}
/// hnorm_set_parallel_for(hnorm::tbb_parallel_for, nullptr);
///
/// tbb::task_arena arena(8);
/// hnorm_set_parallel_for(hnorm::tbb_parallel_for, &arena);
/// @endcode
#pragma once

#include <hnorm/hnorm.h>

#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

namespace hnorm {
inline namespace HNORM_VERSION_NAMESPACE {

/// A parallel loop for hnorm_set_parallel_for, on the threads of oneTBB.
///
/// It may be used inside the tasks of the program. While a thread waits for tasks of hnorm, it
/// takes no other tasks, because they might need what the caller of hnorm holds.
///
/// @param pool      A tbb::task_arena for the tasks, which must live as long as the setting. Null:
///                  the arena of the thread that calls hnorm.
/// @param count     The number of tasks.
/// @param task      The task.
/// @param argument  The first argument of the task.
inline void tbb_parallel_for(void *pool, int count, hnorm_task task, void *argument) {
    const auto run = [=] {
        tbb::this_task_arena::isolate([=] { tbb::parallel_for(0, count, [=](int i) { task(argument, i); }); });
    };
    if (pool) {
        static_cast<tbb::task_arena *>(pool)->execute(run);
    } else {
        run();
    }
}

}  // namespace HNORM_VERSION_NAMESPACE
}  // namespace hnorm
