// The time of forward, next to what copying costs.
#pragma once

#include <ostream>

namespace demo {

// Prints row by row: about twenty seconds in all. Throws std::runtime_error with hnorm's reason,
// and std::bad_alloc.
void show_table(std::ostream &out);

}  // namespace demo
