// The loops that one would write first, for calls to be measured against: mean and variance in
// double, then a pointwise loop, on one thread, with what the compiler makes of them.
#pragma once

#include "calls.h"

namespace hnorm::bench {

// Of forward and backward, f32, batch and instance norm.
bool has_plain_loop(const Case &c);
std::function<void()> plain_call(Calls &calls, const Case &c);

}  // namespace hnorm::bench
