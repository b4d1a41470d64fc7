// What a row times: its call with the kernels of each row of the dispatch table, copies, and a
// plain loop.
#pragma once

#include "place.h"
#include "plain.h"
#include "rounds.h"

namespace hnorm::bench {

// A row of the table's: its name is the row's. They last as long as the calls.
std::vector<Contender> kernels(Calls &calls, const Case &c);
// The row's call after prepare(), which is not timed.
Contender call_after(const std::string &name, const std::function<void()> &prepare, Calls &calls, const Case &c);
Contender floor(Calls &calls, const Case &c);
// The other two ways to copy: of "copy", whose own is the floor. Each finds the caches as it leaves
// them itself, since a streaming copy evicts what the next would have found there.
std::vector<Contender> copies(Calls &calls, const Case &c);
// Plain loops on one thread (plain.h).
Contender plain_loop(Calls &calls, const Case &c);

}  // namespace hnorm::bench
