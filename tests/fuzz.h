// Rounds of random inputs, each from a seed of its own. Environment: HNORM_FUZZ_SEED, the first
// seed; HNORM_FUZZ_ROUNDS, how many rounds; HNORM_FUZZ_SECONDS, for how long all cases of all
// programs go on together (./dev fuzz). A failure names the seed that repeats it.
#pragma once

#include "catch.hpp"
#include "data.h"
#include "format.h"

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <limits>
#include <string>

namespace test {

inline int64_t from_environment(const char *name, int64_t otherwise) {
    const char *const text = std::getenv(name);
    return text && *text ? std::strtoll(text, nullptr, 10) : otherwise;
}

// 1 to `most`, small numbers as often as large ones.
inline int64_t log_uniform(Random &random, int64_t most) {
    return static_cast<int64_t>(std::exp(random.uniform() * std::log(static_cast<double>(most) + 0.999)));
}

template <typename List>
const auto &any_of(const List &list, Random &random) {
    return list[static_cast<size_t>(random.index(static_cast<int64_t>(std::size(list))))];
}

inline TensorFormat random_format(Random &random) {
    constexpr hnorm_type kTypes[] = {HNORM_F32, HNORM_F16, HNORM_BF16};
    return {random.index(2) == 0, any_of(kTypes, random)};
}

// Calls round(random, seed) with one seed after the other: so many times, or for its share
// (percent) of the time that is asked for. `what` names a round's contents, as "rounds of 40 wrong
// calls".
template <typename Round>
void for_seeds(int64_t default_rounds, int64_t share, const std::string &what, const Round &round) {
    const int64_t seconds = from_environment("HNORM_FUZZ_SECONDS", 0) * share / 100,
                  first = from_environment("HNORM_FUZZ_SEED", 1);
    const int64_t rounds =
        from_environment("HNORM_FUZZ_ROUNDS", seconds ? std::numeric_limits<int64_t>::max() : default_rounds);
    using Clock = std::chrono::steady_clock;
    const Clock::time_point begin = Clock::now();
    const auto passed = [&] { return std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - begin).count(); };
    const TensorFormat restore = current_format();
    int64_t done = 0, said = 0;
    for (; done < rounds && (seconds == 0 || passed() < seconds); done++) {
        const std::string seed = "HNORM_FUZZ_SEED=" + std::to_string(first + done) + " HNORM_FUZZ_ROUNDS=1";
        Random random(static_cast<uint64_t>(first + done));
        current_format() = random_format(random);
        INFO(seed);
        round(random, seed);
        if (seconds && passed() / 10 != said) {
            said = passed() / 10;
            std::cout << passed() << " of " << seconds << " s: " << done + 1 << " " << what << "\n" << std::flush;
        }
    }
    current_format() = restore;
    std::cout << done << " " << what << " from seed " << first << ": nothing found\n";
}

}  // namespace test
