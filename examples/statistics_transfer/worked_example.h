// A published example of batch norm, computed again.
#pragma once

#include <ostream>

namespace demo {

// Prints hnorm's values next to the published ones, then the same input through instance norm.
// Returns whether the largest difference is within 2e-4.
bool show_worked_example(std::ostream &out);

}  // namespace demo
