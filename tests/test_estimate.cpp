// The estimator of hnorm bench (bench/engine/estimate.h), by known answers.
#include "catch.hpp"

#include "../bench/engine/estimate.h"

#include <algorithm>
#include <numeric>
#include <random>

using namespace hnorm::bench;

namespace {

std::vector<double> shuffled(size_t count) {
    std::vector<double> values(count);
    std::iota(values.begin(), values.end(), 1.0);
    std::shuffle(values.begin(), values.end(), std::mt19937(3));
    return values;
}

void require_interval(const std::vector<double> &values, double low, double middle, double high) {
    const Interval found = interval(values);
    INFO(values.size() << " values: " << found.low << ", " << found.middle << ", " << found.high);
    REQUIRE(found.low == low);
    REQUIRE(found.middle == middle);
    REQUIRE(found.high == high);
}

}  // namespace

TEST_CASE("the median's interval is the sign test's, as its tables have it") {
    require_interval({3}, 3, 3, 3);
    require_interval(shuffled(5), 1, 3, 5);  // too few for 95%: all of them
    require_interval(shuffled(6), 1, 3.5, 6);
    require_interval(shuffled(11), 2, 6, 10);
    require_interval(shuffled(20), 6, 10.5, 15);
    require_interval(shuffled(100), 40, 50.5, 61);
}

TEST_CASE("ratios are of the same rounds, and above 1 where the second is faster") {
    REQUIRE(ratios({4, 6, 9}, {2, 3}) == std::vector<double>{2, 2});
}

TEST_CASE("the mean of rows is the geometric one of their medians, within its interval") {
    const Interval found = mean_interval({{2, 2, 2, 2, 2}, {8, 8, 8, 8, 8}});
    REQUIRE(found.low == Approx(4));
    REQUIRE(found.middle == Approx(4));
    REQUIRE(found.high == Approx(4));
    const Interval wide = mean_interval({shuffled(21), shuffled(21)});
    REQUIRE(wide.middle == Approx(11));
    REQUIRE((wide.low < 10 && wide.low > 4 && wide.high > 12 && wide.high < 18));
}
