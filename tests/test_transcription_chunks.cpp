// The order of docs/order.md itself, before any kernel: its transcription takes chunks, runs and
// probes as the page says.
#include "catch.hpp"
#include "data.h"
#include "transcription.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

using namespace test;
using transcription::Cut;

TEST_CASE("sums take each element once, in chunks and runs that are as large as the page says at most") {
    for (bool last : {false, true}) {
        for (int64_t S = 1; S < 9000; S += S < 1100 ? 1 : 61) {
            for (int64_t N : {1, 2, 31, 33, 130}) {
                if (S * N > 40'000) continue;
                INFO("S " << S << ", N " << N << ", last " << last);
                const Cut cut(S, N, last);
                std::vector<int> taken(static_cast<size_t>(S * N), 0);
                for (int64_t b = 0; b < cut.B; b++) {
                    for (int64_t a = 0; a < cut.A; a++) {
                        int64_t chunks = 0;
                        transcription::for_each_chunk(cut, a, b, [&](const transcription::Chunk &chunk) {
                            chunks++;
                            const int64_t planes = chunk.plane_end - chunk.plane, rows = chunk.row_end - chunk.row;
                            if (planes < 1 || planes > 8 || chunk.plane / 8 != (chunk.plane_end - 1) / 8 || rows < 1 ||
                                planes * rows > cut.R || chunk.plane / 32 != b * cut.P * cut.Q / 32)
                                FAIL("planes " << chunk.plane << " to " << chunk.plane_end << ", rows " << chunk.row
                                               << " to " << chunk.row_end);
                        });
                        if (chunks < 1 || chunks > 8) FAIL("a run of " << chunks << " chunks");
                    }
                }
                const auto visit = [&](int64_t s, int64_t r) {
                    taken[static_cast<size_t>(r * S + s)]++;
                    return transcription::Terms{1, 1, 0, 0};
                };
                REQUIRE(transcription::sum_over_runs(cut, visit).E == static_cast<double>(S * N));
                REQUIRE(std::all_of(taken.begin(), taken.end(), [](int times) { return times == 1; }));
                if (!last || S < 512 || S % 7) continue;
                std::fill(taken.begin(), taken.end(), 0);
                REQUIRE(transcription::sum_over_parts({nullptr, S, N, S, last, true}, visit).E ==
                        static_cast<double>(S * N));
                REQUIRE(std::all_of(taken.begin(), taken.end(), [](int times) { return times == 1; }));
            }
        }
    }
}

TEST_CASE("chunks and runs are those of the page's table") {
    struct Row {
        int64_t S, N;
        bool last;
        int64_t L, R, P, K, M, Q, A, B;
    };
    for (const Row &row : std::vector<Row>{
             {3, 43, false, 1, 32, 8, 1, 6, 4, 1, 2},        // 8 planes of three rows
             {4, 9, false, 1, 32, 8, 1, 2, 4, 1, 1},         // as many as fill 32 rows
             {15, 9, false, 1, 32, 2, 1, 5, 8, 1, 1},        // 2 planes of 15 rows
             {16, 65, false, 16, 32, 8, 1, 9, 4, 1, 3},      // 8 planes of one row
             {49, 70, false, 16, 32, 8, 1, 9, 4, 1, 3},      // 8 planes of 4 rows
             {81, 5, false, 16, 32, 4, 1, 2, 8, 1, 1},       // 4 planes of 6 rows: 5 are no power of two
             {512, 5, false, 16, 32, 1, 1, 5, 8, 1, 1},      // one plane of 32 rows
             {513, 5, false, 16, 32, 1, 2, 5, 4, 1, 2},      // 32 rows, and one row of one element
             {1024, 5, false, 16, 32, 1, 2, 5, 4, 1, 2},     // 64 rows of 16
             {1025, 5, false, 64, 16, 1, 2, 5, 4, 1, 2},     // 17 rows of 64
             {3136, 5, false, 64, 16, 1, 4, 5, 2, 1, 3},     // 49 rows
             {5000, 5, false, 64, 16, 1, 5, 5, 1, 1, 5},     // 79 rows: two planes of 5 chunks are too many for a run
             {12'544, 2, false, 64, 16, 1, 13, 2, 1, 2, 2},  // 196 rows: 8 chunks and 5
             {1, 130, true, 1, 32, 8, 1, 17, 4, 1, 5},       // class last: rows of one lane
             {49, 33, true, 1, 32, 1, 2, 33, 4, 1, 9},       //
             {3136, 1, true, 1, 32, 1, 98, 1, 1, 13, 1}}) {
        INFO("S " << row.S << ", N " << row.N << ", last " << row.last);
        const Cut cut(row.S, row.N, row.last);
        CHECK(cut.L == row.L);
        CHECK(cut.R == row.R);
        CHECK(cut.P == row.P);
        CHECK(cut.K == row.K);
        CHECK(cut.M == row.M);
        CHECK(cut.Q == row.Q);
        CHECK(cut.A == row.A);
        CHECK(cut.B == row.B);
    }
}

// Spelled out, of numbers whose sums are all rounded.
TEST_CASE("rows are added in fours, lanes by a tree, and a partial row is moved back") {
    std::vector<float> x;
    Random random(1);
    for (int i = 0; i < 200; i++) x.push_back(static_cast<float>(random.normal()));
    const auto sum = [&](int64_t S, int64_t N, bool last) {
        return transcription::sum_over_runs(Cut(S, N, last),
                                            [&](int64_t s, int64_t r) {
                                                return transcription::Terms{x[static_cast<size_t>(r * S + s)], 0, 0, 0};
                                            })
            .E;
    };
    const auto four = [](float a, float b, float c, float d) { return (a + b) + (c + d); };
    const double of_5 = four(x[0], x[1], x[2], x[3]) + x[4];
    CHECK(sum(5, 1, true) == of_5);
    CHECK(sum(5, 1, false) == of_5);
    // What is left of all planes comes after their fours.
    CHECK(sum(5, 2, false) ==
          static_cast<double>(((four(x[0], x[1], x[2], x[3]) + four(x[5], x[6], x[7], x[8])) + x[4]) + x[9]));
    // 32 rows are a chunk.
    float of_32 = 0, rest = four(x[32], x[33], x[34], 0);
    for (size_t i = 0; i < 32; i += 4) of_32 = of_32 + four(x[i], x[i + 1], x[i + 2], x[i + 3]);
    CHECK(sum(35, 1, true) == static_cast<double>(of_32) + static_cast<double>(rest));
    // 17 positions are 16 lanes, and a row of the last one's.
    float v[16];
    for (size_t l = 0; l < 16; l++) v[l] = x[l] + (l == 15 ? x[16] : 0);
    for (size_t w : {8, 4})
        for (size_t l = 0; l < w; l++) v[l] = v[l] + v[l + w];
    CHECK(sum(17, 1, false) == (static_cast<double>(v[0]) + v[2]) + (static_cast<double>(v[1]) + v[3]));
}

TEST_CASE("a probe has a row of each of equal parts of a group, all of a few and 48 of many") {
    for (bool last : {false, true}) {
        for (int64_t S = 1; S < 6000; S += S < 40 ? 1 : 37) {
            for (int64_t N : {1, 2, 31, 33, 130}) {
                const int64_t W = transcription::neighbours(S, last), T = N * (S / W);
                const int64_t count = transcription::rows_probed(S, N, last);
                REQUIRE(count ==
                        static_cast<int64_t>(std::ceil(48.0 * static_cast<double>(T) / static_cast<double>(T + 48))));
                if (T < 8) REQUIRE(count == T);
                if (T > 48 * 47) REQUIRE(count == 48);
                for (int64_t i = 0; i < count; i++) {
                    const transcription::Place place = transcription::place_probed(i, S, N, last);
                    INFO("S " << S << ", N " << N << ", row " << i << ": " << place.plane << ", " << place.position);
                    const int64_t row = place.plane * (S / W) + place.position / W;
                    REQUIRE((0 <= place.plane && place.plane < N && place.position % W == 0));
                    REQUIRE((0 <= place.position && place.position + W <= S));
                    REQUIRE((i * T / count <= row && row * count < (i + 1) * T));
                    if (i == 0) REQUIRE(row == 0);
                }
            }
        }
    }
}
