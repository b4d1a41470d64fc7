// hnorm's own threads.
#pragma once

namespace hnorm::detail {

constexpr int kMaxThreads = 256;

// Calls work(argument, 0) on this thread. Meanwhile threads of the pool that are free in time call
// work(argument, i) for some i of 1 <= i < workers. All of these calls have returned when the
// function returns. Threads are started when they are needed. If none can be started, this thread
// does all the work.
void run_on_pool(int workers, void (*work)(void *argument, int index), void *argument);

// Ends the threads once the loops that they help in are done. Later loops begin new ones.
void end_pool();

}  // namespace hnorm::detail
