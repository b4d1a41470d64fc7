// hnorm_merge_moments: moments of parts, merged in any grouping, are those of the whole.
#include "accuracy.h"
#include "catch.hpp"
#include "compare.h"
#include "machine.h"

#include <cmath>
#include <string>
#include <vector>

using namespace test;

namespace {

void merge(Statistics &into, const Statistics &other) {
    require_ok("hnorm_merge_moments",
               hnorm_merge_moments(static_cast<int64_t>(into.count.size()), into.count.data(), into.mean.data(),
                                   into.m2.data(), other.count.data(), other.mean.data(), other.m2.data()));
}

// The samples [first, last) as a tensor of their own; may be empty.
Tensor samples(const Tensor &x, int64_t first, int64_t last) {
    Shape shape = x.shape();
    shape[0] = last - first;
    Tensor part(shape);
    for (int64_t n = first; n < last; n++)
        for (int64_t c = 0; c < x.channels(); c++) std::copy_n(x.plane(n, c), x.positions(), part.plane(n - first, c));
    return part;
}

// Merges parts [begin, end) as a random binary tree.
Statistics merged(const std::vector<Statistics> &parts, size_t begin, size_t end, Random &random) {
    if (end - begin == 1) return parts[begin];
    const size_t middle = begin + 1 + static_cast<size_t>(random.index(static_cast<int64_t>(end - begin - 1)));
    Statistics left = merged(parts, begin, middle, random), right = merged(parts, middle, end, random);
    if (random.index(2)) std::swap(left, right);
    merge(left, right);
    return left;
}

}  // namespace

TEST_CASE("moments of parts merged in any grouping agree with moments of the whole") {
    Random random(5);
    for (const Shape &shape : std::vector<Shape>{{60, 3}, {41, 3, 3}, {23, 3, 7, 7}, {9, 3, 40, 40}, {5, 3, 70, 70}}) {
        for (double ratio : {0.0, 10.0, 1e5}) {
            for (int round = 0; round < 8; round++) {
                Tensor x(shape);
                const Recipe recipe{Kind::kNormal, ratio, 1, static_cast<uint64_t>(round) + 1};
                fill(x, recipe);
                INFO(x.describe() << ", " << recipe.describe());
                // unequal parts, empty ones among them
                std::vector<Statistics> parts;
                for (int64_t first = 0; first < x.samples();) {
                    const int64_t last = std::min(x.samples(), first + random.index(1 + x.samples() / 2));
                    parts.push_back(moments(samples(x, first, last), HNORM_BATCH));
                    first = last;
                }
                const Statistics found = merged(parts, 0, parts.size(), random);
                const Statistics whole = moments(x, HNORM_BATCH);
                CHECK(found.count == whole.count);
                const References expected = references(x, HNORM_BATCH);
                CHECK(worst_mean(expected, found.mean).error <= kMeanBound);
                CHECK(worst_variance(expected, variances(found)).error <= kM2Bound);
                for (size_t g = 0; g < whole.mean.size(); g++) {
                    const double sigma = std::sqrt(whole.m2[g] / whole.count[g]);
                    CHECK(std::fabs(found.mean[g] - whole.mean[g]) <= 1e-6 * sigma + 1e-15 * std::fabs(whole.mean[g]));
                    CHECK(std::fabs(found.m2[g] - whole.m2[g]) <= 1e-6 * whole.m2[g]);
                }
            }
        }
    }
}

TEST_CASE("merging adds no error beyond double's", "[once]") {
    // counts from 1 to a billion, means near and far
    Random random(6);
    for (int round = 0; round < 2000; round++) {
        const auto draw = [&] {
            return Statistics{{std::floor(std::pow(10.0, 9 * random.uniform()))},
                              {1000 * random.normal()},
                              {std::pow(10.0, 12 * random.uniform() - 3)}};
        };
        Statistics a = draw();
        const Statistics b = draw(), before = a;
        merge(a, b);
        const long double n = static_cast<long double>(before.count[0]) + b.count[0];
        const long double delta = static_cast<long double>(b.mean[0]) - before.mean[0];
        const long double mean = before.mean[0] + delta * b.count[0] / n;
        const long double m2 = before.m2[0] + b.m2[0] + delta * delta * before.count[0] * b.count[0] / n;
        INFO("counts " << before.count[0] << ", " << b.count[0] << ", means " << before.mean[0] << ", " << b.mean[0]);
        CHECK(a.count[0] == static_cast<double>(n));
        CHECK(std::fabs(a.mean[0] - mean) <= 1e-15L * (std::fabs(before.mean[0]) + std::fabs(b.mean[0])));
        CHECK(std::fabs(a.m2[0] - m2) <= 2e-15L * m2);
    }
}

TEST_CASE("merging an empty set changes nothing, merging into one copies", "[once]") {
    const Statistics empty{{0, 0}, {0, 0}, {0, 0}}, set{{3, 1}, {0.1, -1e30}, {0.7, 0}};
    Statistics left = set, right = empty, both = empty;
    merge(left, empty);
    merge(right, set);
    merge(both, empty);
    for (const Statistics *found : {&left, &right}) {
        CHECK(difference("count", found->count, set.count).empty());
        CHECK(difference("mean", found->mean, set.mean).empty());
        CHECK(difference("M2", found->m2, set.m2).empty());
    }
    CHECK(both.count == empty.count);
    CHECK(both.mean == empty.mean);
    CHECK(both.m2 == empty.m2);
}

TEST_CASE("merging equal means keeps them exactly", "[once]") {
    for (double value : {0.1, 1.0 / 3, -7.3e30, 1e-30}) {
        Statistics a{{3}, {value}, {0}};
        merge(a, {{7}, {value}, {0}});
        CHECK(a.count[0] == 10);
        CHECK(a.mean[0] == value);
        CHECK(a.m2[0] == 0);
    }
}
