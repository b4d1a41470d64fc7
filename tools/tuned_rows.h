// The rows of hnorm tune, and how they share its time.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "search.h"

namespace hnorm::tools {

struct TunedRow {
    bench::Case c;
    Proposal proposal;
    Proof proof;
};

// Calls measure(row, seconds) for the rows that there is time for, with their tensors prepared.
// `seconds` are for all of them, and a row is left out if less than so many calls of it are left.
void for_rows(const std::string &what, bench::Calls &calls, std::vector<TunedRow *> rows, double seconds,
              double least_calls, const std::function<void(TunedRow &row, double seconds)> &measure);

}  // namespace hnorm::tools
