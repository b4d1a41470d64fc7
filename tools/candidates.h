// What may be chosen for a row at run time: targets, threads and the values of Dispatch.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "../bench/engine/calls.h"
#include "wisdom.h"

namespace hnorm::tools {

// A plan, and what of it differs from the library's own choice.
struct Candidate {
    detail::Plan plan;
    std::string kind;  // "target", "threads" or the value's name; of a combination all, with spaces between them

    int64_t changes() const { return 1 + std::count(kind.begin(), kind.end(), ' '); }
};

// Single changes that may make the row faster on so many threads, the likeliest first. Those are
// left out of which the row's size, layout and group already say that they change nothing.
std::vector<Candidate> candidates_of(const bench::Case &c, int threads);

// Both changes.
Candidate combined(const Candidate &a, const Candidate &b);

// As in a wisdom file: "target=x86-64-avx2 threads=1". The target is always named, since the rest
// was measured with it.
std::string values_of(const detail::Plan &plan);

}  // namespace hnorm::tools
