// The order of docs/order.md itself, before any kernel: its transcription is accurate and takes chunks as the page says.
// The kernels equal it bit for bit (test_bits.cpp, test_kernels.cpp).
#include "accuracy.h"
#include "catch.hpp"
#include "expected.h"

#include <iostream>
#include <string>
#include <vector>

using namespace test;

namespace {

struct Chunks {
    int64_t count = 0, elements = 0, largest = 0;
};

Chunks chunks(int64_t S, int64_t N) {
    Chunks result;
    transcription::for_each_chunk({nullptr, S, N, 0}, [&](const transcription::Chunk &chunk) {
        result.count++;
        result.elements += chunk.cnt;
        result.largest = std::max(result.largest, chunk.cnt);
    });
    return result;
}

// y = dense, as elements().
void assign(Tensor &y, const std::vector<float> &dense) {
    const float *from = dense.data();
    for (int64_t n = 0; n < y.samples(); n++)
        for (int64_t c = 0; c < y.channels(); c++, from += y.positions())
            std::copy_n(from, y.positions(), y.plane(n, c));
}

}  // namespace

TEST_CASE("chunks cover each element once and hold as many rows as the page says at most") {
    for (int64_t S = 1; S < 9000; S += S < 1100 ? 1 : 61) {
        for (int64_t N : {1, 2, 31, 32, 33, 130}) {
            INFO("S " << S << ", N " << N);
            const Chunks found = chunks(S, N);
            REQUIRE(found.elements == S * N);
            REQUIRE(found.largest <= transcription::kRows * transcription::lanes(S));
        }
    }
}

TEST_CASE("chunks are those of the page's table") {
    CHECK(chunks(1, 130).count == 9);      // 16 planes of one row
    CHECK(chunks(3, 43).count == 5);       // 10 planes of three rows
    CHECK(chunks(15, 9).count == 5);       // 2 planes of 15 rows
    CHECK(chunks(16, 65).count == 5);      // 16 planes of one row
    CHECK(chunks(49, 33).count == 5);      // 8 planes of 4 rows
    CHECK(chunks(512, 5).count == 5);      // one plane of 32 rows
    CHECK(chunks(513, 5).count == 10);     // 32 rows, and one row of one element
    CHECK(chunks(1024, 5).count == 10);    // 64 rows of 16
    CHECK(chunks(1025, 5).count == 5);     // 17 rows of 64
    CHECK(chunks(2048, 5).count == 5);     // 32 rows
    CHECK(chunks(2049, 5).count == 10);    // 32 rows, and one row of one element
    CHECK(chunks(12'544, 2).count == 14);  // 196 rows
}

// Ramps, two-valued and quantised data are the hard ones: a lane adds many nearly equal squares, whose roundings go the
// same way. No affine: |beta| would only widen what is allowed.
TEST_CASE("the transcription is within 5e-7 of the reference for every kind of data") {
    const std::vector<Shape> shapes = {{70, 2},      {130, 2, 3},  {33, 2, 15},  {70, 2, 16},  {40, 2, 7, 7},
                                       {9, 2, 196},  {2, 2, 500},  {2, 2, 784},  {2, 2, 900},  {2, 2, 1008},
                                       {2, 2, 1024}, {2, 2, 1025}, {2, 2, 2048}, {2, 2, 4096}, {1, 2, 12'544}};
    Worst worst_of_all;
    uint64_t seed = 1;
    for (const Shape &shape : shapes) {
        for (Kind kind : kAllKinds) {
            for (double ratio : {0.0, 0.5, 1.0, 3.0, 30.0, 1e3, 1e5}) {
                for (double scale : {1.0, 1.17, 1.34}) {
                    Tensor x(shape), y(shape);
                    const Recipe recipe{kind, ratio, scale, seed++};
                    fill(x, recipe);
                    const Affine none(AffineKind::kNone, x);
                    for (hnorm_group group : kGroups) {
                        const std::string where =
                            std::string(name(group)) + " " + x.describe() + ", " + recipe.describe();
                        INFO(where);
                        const References expected = references(x, group);
                        const Statistics found = transcribed_moments(x, group);
                        CHECK(worst_mean(expected, found.mean).error <= kMeanBound);
                        CHECK(worst_variance(expected, variances(found)).error <= kM2Bound);
                        assign(y, transcribed_normalize(x, group, found.mean, variances(found), none, 1e-5));
                        const Worst worst = worst_y(x, group, expected, none, 1e-5, y);
                        INFO(worst.where);
                        CHECK(worst.error <= kTolerance);
                        worst_of_all.add(worst.error, where);
                    }
                }
            }
        }
    }
    std::cout << "worst error " << worst_of_all.error << ": " << worst_of_all.where << "\n";
}
