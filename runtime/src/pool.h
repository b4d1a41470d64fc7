// hnorm's own threads.
#pragma once

namespace hnorm::detail {

constexpr int kMaxThreads = 256;

// Calls work(argument, 0) on this thread, and meanwhile work(argument, i) for some of the 1 <= i < workers on the pool's threads: one for
// each that is free in time. All have returned when it returns. Threads begin as they are wanted; where none can, this one works
// alone.
void run_on_pool(int workers, void (*work)(void *argument, int index), void *argument);

// Ends the threads once the loops that they help in are done. Later loops begin new ones.
void end_pool();

}  // namespace hnorm::detail
