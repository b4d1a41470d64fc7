// Random shapes, paddings and groups, and calls with them.
#pragma once

#include "check_bits.h"
#include "fuzz.h"
#include "random_calls.h"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace test {

inline Shape random_shape(Random &random) {
    const int64_t most = random.index(20) == 0 ? 400'000 : 20'000;
    Shape shape(static_cast<size_t>(2 + random.index(4)));
    int64_t left = most;
    // Any axis may be the largest.
    const int64_t first = random.index(static_cast<int64_t>(shape.size()));
    for (size_t i = 0; i < shape.size(); i++) {
        int64_t &extent = shape[(i + static_cast<size_t>(first)) % shape.size()];
        extent = random.index(4) == 0 ? 1 + random.index(std::min<int64_t>(left, 17)) : log_uniform(random, left);
        left = std::max<int64_t>(left / extent, 1);
    }
    return shape;
}

inline Padding random_padding(Random &random) {
    return {random.index(3) ? 0 : log_uniform(random, 70), random.index(3) ? 0 : log_uniform(random, 200),
            random.index(2) == 0};
}

// And any number of groups of channels that there can be.
inline Groups random_groups(Random &random, int64_t channels) {
    Groups groups = kBothGroups;
    std::vector<int64_t> divisors;
    for (int64_t g = 1; g <= channels; g++)
        if (channels % g == 0) divisors.push_back(g);
    groups.push_back(hnorm_groups(any_of(divisors, random)));
    return groups;
}

inline Calls random_calls(Random &random) {
    const Padding paddings[] = {random_padding(random), random_padding(random), random_padding(random)};
    const Shape shape = random_shape(random);
    return Calls(shape, any_of(random_groups(random, shape[1]), random), paddings, random.index(8) ? 1 : 1e-40);
}

}  // namespace test
