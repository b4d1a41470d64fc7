// Finding, and proving, what is faster than the library's own choice for a row.
#pragma once

#include <string>
#include <vector>

#include "../bench/engine/calls.h"
#include "../bench/engine/estimate.h"
#include "wisdom.h"

namespace hnorm::tools {

// States of the library that a row's call is compared in (runtime/src/wisdom.h).
struct Knowledge {
    const detail::Known *none, *present;  // no wisdom; what the program had read before
};

// What a search in the given seconds proposes for a row, whose tensors are prepared.
struct Proposal {
    std::string values;  // "": nothing looks faster
    bool measured = false;
    double call = 0;  // seconds of one, or 0
};
// `kept`: the row's values in the present wisdom, or "".
Proposal search(bench::Calls &calls, const bench::Case &c, const Knowledge &knowledge, const std::string &kept,
                double seconds);

// A proposal in measurements of its own: the speed with `after` over that without wisdom.
struct Proof {
    bool measured = false;
    bench::Interval speed = {1, 1, 1};
    double of_fastest = 1;  // the same of the fastest calls, which nothing has interrupted

    // On a machine with other work the interruptions of many rounds in turn may hit one of the two.
    bool holds() const { return measured && speed.low > 1.005 && of_fastest > 1.005; }
};
Proof prove(bench::Calls &calls, const bench::Case &c, const Knowledge &knowledge, const detail::Known *after,
            double seconds);

// Guesses, before anything is timed: the seconds of a call, and of a search and of a proof that are
// worth it.
double usual_call(const bench::Case &c);
constexpr double kCallsOfSearch = 60, kCallsOfProof = 30;

}  // namespace hnorm::tools
