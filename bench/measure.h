// Measures a piece of work against a reference, such as a kernel against the copy floor.
#pragma once

#include <functional>

namespace hnorm::bench {

using Work = std::function<void()>;

// How long a measurement may take. It ends after `seconds`, but not before `least_rounds`, and after `most_rounds`.
struct Effort {
    double seconds;
    int least_rounds;
    int most_rounds;
};
inline constexpr Effort kQuick{0.6, 11, 201};
inline constexpr Effort kThorough{2.5, 21, 801};

struct Comparison {
    double seconds;            // of one call of the work, the median over the rounds
    double reference_seconds;  // likewise of the reference
    // The reference's time over the work's, in the same round: median and quartiles over the rounds. 1 is as fast as
    // the reference, 0.5 takes twice its time.
    double ratio, ratio_lower, ratio_upper;
    int rounds;
};

// What a timing finds in the caches: what the other one left, or, after an untimed call, what its own call leaves.
enum class Caches { kOfTheOther, kOfItsOwn };

// Both run several times before the first timing. Nothing else should run on the machine.
Comparison compare(const Work &reference, const Work &work, const Effort &effort, Caches caches = Caches::kOfTheOther);

}  // namespace hnorm::bench
