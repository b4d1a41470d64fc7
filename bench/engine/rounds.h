// The one way in which things are timed side by side: a benchmark's row, a comparison with other
// libraries, a tuner's candidates, the demo's table.
//
// - Rounds. A machine's speed drifts (clock, temperature, neighbours on a shared host) by more than
//   what is to be measured. A round times every contender once, within milliseconds; ratios within
//   a round are free of the drift.
// - A random order in each round. What runs first finds the caches as another left them; in an
//   order that turns or alternates the same neighbours come before a contender again and again
//   (docs/tuner.md, "The estimator").
// - A timing lasts a while, many calls for small tensors, so that the clock's cost and grain
//   vanish.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace hnorm::bench {

struct Contender {
    std::string name;
    std::function<double(int calls)> time;  // seconds of a call, over so many
};

// A measurement ends after `seconds` for each contender, but not before `least` rounds, and after
// `most`.
struct Effort {
    double seconds;
    int least, most;
};

struct Conditions {
    double least_timing = 200e-6;  // seconds
    // Before each timing, which is then of one call: empties the caches, for example.
    std::function<void()> before;
    // Whether threads of other libraries, which spin for a while after their work, come to rest
    // before each timing.
    bool settle = false;
};

// Seconds of a call, by contender and round. Those that take over 20 times as long as the fastest
// have the least rounds only.
std::vector<std::vector<double>> rounds(const std::vector<Contender> &contenders, const Effort &effort,
                                        const Conditions &conditions = {});

double median(std::vector<double> values);

}  // namespace hnorm::bench
