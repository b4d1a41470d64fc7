// The order of docs/order.md itself, before any kernel: its transcription takes chunks as the page
// says, is accurate, and sums few groups twice. The kernels equal it bit for bit (test_bits.cpp,
// test_kernels.cpp).
#include "accuracy.h"
#include "catch.hpp"
#include "expected.h"

#include <algorithm>
#include <cfloat>
#include <functional>
#include <iostream>
#include <limits>
#include <string>
#include <utility>
#include <vector>

using namespace test;
using transcription::Cut;
using transcription::Group;

namespace {

// Planes of one group, dense.
struct Planes {
    int64_t S, N;
    bool last, few_channels = false;

    size_t size() const { return static_cast<size_t>(S * N); }
    Group group(const std::vector<float> &values) const { return {values.data(), S, N, S, last, few_channels}; }
    std::string describe() const {
        return std::to_string(N) + " planes of " + std::to_string(S) + (last ? ", channels last" : "") +
               (few_channels ? ", few" : "");
    }
};

// One of every class, with chunks and runs that are full and others.
const std::vector<Planes> kPlanes = {{1, 1, true},     {3, 1, false},    {9, 7, false},     {15, 70, false},
                                     {49, 1, false},   {49, 33, false},  {196, 9, false},   {1000, 3, false},
                                     {1024, 1, false}, {4097, 2, false}, {12544, 1, false}, {7, 40, true},
                                     {300, 1, true},   {196, 9, true},   {4096, 2, true},   {1000, 2, true, true}};

struct Reference {
    long double mean = 0, variance = 0;

    explicit Reference(const std::vector<float> &x) {
        for (float value : x) mean += value;
        mean /= static_cast<long double>(x.size());
        for (float value : x) variance += (value - mean) * (value - mean);
        variance /= static_cast<long double>(x.size());
    }
};

// Returns how often the group was summed.
int check_moments(const Planes &planes, const std::vector<float> &x, const std::string &data) {
    INFO(planes.describe() << ", " << data);
    int passes = 0;
    const transcription::Moments found = transcription::moments(planes.group(x), &passes);
    const Reference expected(x);
    const References list = {{static_cast<int64_t>(x.size()), expected.mean, expected.variance}};
    INFO("mean " << found.mean << ", M2 " << found.M2 << ", passes " << passes);
    CHECK(worst_mean(list, {found.mean}).error <= kMeanBound);
    CHECK(worst_variance(list, {found.M2 / static_cast<double>(x.size())}).error <= kM2Bound);
    CHECK(passes <= 3);
    return passes;
}

// y = dense, as elements().
void assign(Tensor &y, const std::vector<float> &dense) {
    const float *from = dense.data();
    for (int64_t n = 0; n < y.samples(); n++)
        for (int64_t c = 0; c < y.channels(); c++, from += y.positions())
            std::copy_n(from, y.positions(), y.plane(n, c));
}

}  // namespace

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

// Ramps, two-valued and quantised data are the hard ones: a lane adds many nearly equal squares,
// whose roundings go the same way. No affine: |beta| would only widen what is allowed.
TEST_CASE("the transcription is within 4e-7 of the reference for every kind of data") {
    const std::vector<Shape> shapes = {{70, 2},      {130, 2, 3},  {33, 2, 15},  {70, 2, 16},  {40, 2, 7, 7},
                                       {9, 2, 196},  {2, 2, 500},  {2, 2, 784},  {2, 2, 900},  {2, 2, 1008},
                                       {2, 2, 1024}, {2, 2, 1025}, {2, 2, 2048}, {2, 2, 4096}, {1, 2, 12'544}};
    Worst worst_of_all;
    uint64_t seed = 1;
    const TensorFormat before = current_format();
    for (bool last : {false, true}) {
        current_format().channels_last = last;
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
                            CHECK(worst.error <= kKindsTolerance);
                            worst_of_all.add(worst.error, where);
                        }
                    }
                }
            }
        }
    }
    current_format() = before;
    std::cout << "worst error " << worst_of_all.error << ": " << worst_of_all.where << "\n";
}

namespace {

// Data by position of a group of pictures of `width` squared positions.
struct Data {
    const char *name;
    std::function<double(int64_t width, int64_t i)> at;  // i: position in the group, ascending from 0
};

// About sin(2 pi t), without libm.
double wave(double t) {
    const double u = t - std::floor(t);
    return u < 0.5 ? 16 * u * (0.5 - u) : -16 * (u - 0.5) * (1 - u);
}

struct Counts {
    int64_t groups = 0, again = 0, vectors = 0, vectors_again = 0, most = 0;
};

// Groups of the data that are summed more than once, and vectors of 16 groups with such a one.
Counts taken_again(const Data &data, const std::vector<int64_t> &widths, int64_t elements) {
    Counts counts;
    Random random(3);
    for (int64_t width : widths) {
        for (const auto &[N, last] :
             std::vector<std::pair<int64_t, bool>>{{1, false}, {8, false}, {1, true}, {8, true}}) {
            const Planes planes{width * width, N, last};
            std::vector<float> x(planes.size());
            const int64_t vectors = std::clamp<int64_t>(elements / static_cast<int64_t>(planes.size()) / 16, 1, 400);
            for (int64_t vector = 0; vector < vectors; vector++) {
                int64_t again = 0;
                for (int i = 0; i < 16; i++) {
                    const double mean = random.index(2) ? 0 : 100 * random.normal(), scale = 0.1 + random.uniform();
                    for (size_t s = 0; s < x.size(); s++)
                        x[s] = static_cast<float>(scale * (mean + data.at(width, static_cast<int64_t>(s))));
                    int passes = 0;
                    transcription::moments(planes.group(x), &passes);
                    again += passes > 1;
                    counts.most = std::max<int64_t>(counts.most, passes);
                }
                counts.groups += 16;
                counts.again += again;
                counts.vectors++;
                counts.vectors_again += again > 0;
            }
        }
    }
    return counts;
}

}  // namespace

// What is taken again costs a vector of 16 groups as much again. The rates are printed: run with
// --success, or ctest -V.
TEST_CASE("of normal data and of pictures fewer than one vector of groups in 1,000 is summed again") {
    Random random(5);
    const auto noise = [&] {
        return 2 * (random.uniform() + random.uniform() + random.uniform()) - 3;
    };  // of variance 1
    const auto column = [](int64_t width, int64_t i) {
        return static_cast<double>(i % width) / static_cast<double>(width);
    };
    const auto row = [](int64_t width, int64_t i) {
        return static_cast<double>(i / width % width) / static_cast<double>(width);
    };
    double f[4], p[3], level = 0, x0 = 0, y0 = 0, radius = 0;
    const std::vector<Data> pictures = {
        {"normal", [&](int64_t, int64_t) { return noise(); }},
        {"smooth pictures",
         [&](int64_t width, int64_t i) {
             if (i == 0) {
                 for (double &frequency : f) frequency = 0.3 + 2.5 * random.uniform();
                 for (double &phase : p) phase = random.uniform();
             }
             const double x = column(width, i), y = row(width, i);
             return wave(f[0] * x + p[0]) * wave(f[1] * y + p[1]) + 0.3 * wave(f[2] * x + f[3] * y + p[2]);
         }},
        {"bright objects",
         [&](int64_t width, int64_t i) {
             if (i % (width * width) == 0) {
                 x0 = random.uniform();
                 y0 = random.uniform();
                 radius = 0.1 + 0.2 * random.uniform();
             }
             const double x = column(width, i) - x0, y = row(width, i) - y0;
             return (x * x + y * y < radius * radius ? 1 : 0) + 0.03 * noise();
         }},
        {"samples of unequal brightness",
         [&](int64_t width, int64_t i) {
             if (i % (width * width) == 0) level = noise();
             return level + 0.1 * noise();
         }},
    };
    const std::vector<Data> others = {
        {"normal, 0 where below 0", [&](int64_t, int64_t) { return std::max(noise(), 0.0); }},
        {"two-valued", [&](int64_t, int64_t) { return random.index(2) ? 1 : 0; }},
        {"rising",
         [&](int64_t width, int64_t i) { return static_cast<double>(i) / static_cast<double>(width * width); }},
        {"stripes of 64", [&](int64_t, int64_t i) { return i / 64 % 2 ? 1 : 0; }},
        {"1 in 20, else 0", [&](int64_t, int64_t) { return random.index(20) ? 0 : 1 + noise() / 4; }},
        {"1 in 100, else 0", [&](int64_t, int64_t) { return random.index(100) ? 0 : 1 + noise() / 4; }},
        {"1 in 1000, else 0", [&](int64_t, int64_t) { return random.index(1000) ? 0 : 1 + noise() / 4; }},
        {"cubes of normal numbers", [&](int64_t, int64_t) { return std::pow(noise(), 3); }},
        {"normal, one 10,000 sigma off", [&](int64_t, int64_t i) { return i == 7 ? 1e4 : noise(); }},
        {"normal, the first 1,000 sigma off", [&](int64_t, int64_t i) { return i == 0 ? 1e3 : noise(); }},
        {"normal, the first 32 10 sigma off", [&](int64_t, int64_t i) { return i < 32 ? 10 + noise() : noise(); }},
    };
    const auto rate = [](const Data &data, int64_t elements) {
        const Counts counts = taken_again(data, {7, 14, 28, 56, 112, 224}, elements);
        std::cout << data.name << ": " << counts.again << " of " << counts.groups << " groups, " << counts.vectors_again
                  << " of " << counts.vectors << " vectors of 16 summed again\n";
        INFO(data.name << ": " << counts.vectors_again << " of " << counts.vectors << " vectors");
        CHECK(counts.most <= 3);
        return counts;
    };
    for (const Data &data : pictures) {
        const Counts counts = rate(data, 3'000'000);
        INFO(data.name << ": " << counts.vectors_again << " of " << counts.vectors << " vectors");
        CHECK(counts.vectors_again * 1000 < counts.vectors);
    }
    for (const Data &data : others) rate(data, 1'000'000);
}

TEST_CASE("groups out of range or with a far center are summed again, and right") {
    constexpr float kLeast = std::numeric_limits<float>::denorm_min();
    int often = 0;
    for (const Planes &planes : kPlanes) {
        if (planes.size() < 2) continue;
        std::vector<float> x(planes.size());
        Random random(planes.size());
        const auto each = [&](const std::string &data, auto value) {
            for (size_t i = 0; i < x.size(); i++) x[i] = static_cast<float>(value(i));
            const int passes = check_moments(planes, x, data);
            often = std::max(often, passes);
            return passes;
        };
        const std::vector<bool> probed = transcription::positions_probed(planes.S, planes.N, planes.last);
        const size_t apart = static_cast<size_t>(std::find(probed.begin(), probed.end(), false) - probed.begin());
        const bool whole = apart == x.size();  // the probe is the group
        const size_t hidden = whole ? x.size() / 2 : apart;

        for (double scale : {1e38, 1e30, 1e20, 1e13, 1e12, 1e11, 1.0, 1e-11, 1e-12, 1e-13, 1e-20, 1e-30, 1e-38, 1e-42})
            for (double offset : {0.0, 2.0, 1e4}) {
                if (scale * offset > 1e37 || (scale > 1e37 && offset > 0)) continue;
                const int passes =
                    each("normal data, scale " + std::to_string(scale) + ", offset " + std::to_string(offset),
                         [&](size_t) { return scale * (offset + random.normal() / 2); });
                if (planes.size() > 200 && scale <= 1e30 && scale >= 1e-30) CHECK(passes == 1);
            }
        each("FLT_MAX and -FLT_MAX", [&](size_t i) { return i % 2 ? FLT_MAX : -FLT_MAX; });
        each("3e38 and -3e38", [&](size_t i) { return i % 2 ? 3e38f : -3e38f; });
        each("denormals", [&](size_t i) { return static_cast<float>(i % 5) * kLeast; });
        each("0 and the least number", [&](size_t i) { return i == hidden ? kLeast : 0.0f; });
        each("2^24 + {0, 2}", [&](size_t i) { return 0x1p24f + static_cast<float>(2 * (i / 3 % 2)); });
        each("1e30 + {0, a unit in the last place}",
             [&](size_t i) { return i % 3 ? 1e30f : std::nextafter(1e30f, 2e30f); });
        each("FLT_MAX and the number below", [&](size_t i) { return i % 3 ? FLT_MAX : std::nextafter(FLT_MAX, 0.0f); });
        for (float value : {1e30f, -1e30f, FLT_MAX, 1e17f, 1e15f, 1e-15f, 1e-30f, FLT_MIN, kLeast}) {
            const int passes = each("one " + std::to_string(value) + " in zeros",
                                    [&](size_t i) { return i == hidden ? value : 0.0f; });
            const bool in_range = std::fabs(value) >= 0x1p-40f && std::fabs(value) < 0x1p64f;  // its square is finite
            if (!whole) CHECK((passes > 1) == !in_range);
            each("one " + std::to_string(value) + " in ones", [&](size_t i) { return i == hidden ? value : 1.0f; });
            each("one " + std::to_string(value) + " in normal data",
                 [&](size_t i) { return i == hidden ? value : static_cast<float>(random.normal()); });
        }
        // The probe says nothing of the others.
        for (double others : {1e-44, 1e-30, 1e-13, 1.0, 1e3, 1e14, 1e16, 1e20, 1e38})
            for (double of_probe : {0.0, 1e-40, 1e-20, 1.0, 2e20, 2e23, 1e38}) {
                const std::string data =
                    "others " + std::to_string(others) + ", probe near " + std::to_string(of_probe);
                each(data, [&](size_t i) { return probed[i] ? of_probe : others * (random.uniform() + 0.5); });
                const int passes = each(data + ", with a spread", [&](size_t i) {
                    return probed[i] ? of_probe * (1 + 1e-3 * random.normal()) : others * (random.uniform() + 0.5);
                });
                if (planes.size() > 1000 && others == 1 && of_probe == 2e20) CHECK(passes == 2);
            }
        for (float value : {0.0f, -0.0f, 1.1f, -7.3f, 1e38f, FLT_MAX, 1e-38f, kLeast, 1e9f}) {
            const int passes = each("constant " + std::to_string(value), [&](size_t) { return value; });
            CHECK(passes == 1);
            const transcription::Moments found = transcription::moments(planes.group(x));
            CHECK(found.mean == value);
            CHECK(found.M2 == 0);
        }
    }
    CHECK(often == 3);
}

TEST_CASE("a NaN or an infinity anywhere gives no finite mean and a NaN for M2") {
    for (const Planes &planes : kPlanes) {
        std::vector<float> x(planes.size());
        Random random(planes.size());
        for (float &value : x) value = static_cast<float>(random.normal());
        for (float value : {std::numeric_limits<float>::quiet_NaN(), HUGE_VALF, -HUGE_VALF}) {
            for (int i = 0; i < 20; i++) {
                const size_t where = i ? static_cast<size_t>(random.index(static_cast<int64_t>(x.size()))) : 0;
                const float before = x[where];
                x[where] = value;
                const transcription::Moments found = transcription::moments(planes.group(x));
                INFO(planes.describe() << ", " << value << " at " << where << ": " << found.mean << ", " << found.M2);
                CHECK(!std::isfinite(found.mean));
                CHECK(std::isnan(found.M2));
                x[where] = before;
            }
        }
    }
}

namespace {

// The sums of dy and dy*(x - mean) against long double, in units of the sums of their magnitudes.
// Returns whether the group was scaled.
bool check_gradient_sums(const Planes &planes, const std::vector<float> &x, const std::vector<float> &dy, double mean,
                         const std::string &data) {
    bool is_scaled = false;
    const transcription::GradientSums found =
        transcription::gradient_sums(planes.group(x), planes.group(dy), mean, &is_scaled);
    long double of_dy = 0, size_of_dy = 0, of_both = 0, size_of_both = 0, greatest_x = 0, greatest_dy = 0;
    for (size_t i = 0; i < x.size(); i++) {
        const long double d = x[i] - static_cast<long double>(mean), g = dy[i];
        of_dy += g;
        size_of_dy += std::fabs(g);
        of_both += g * d;
        size_of_both += std::fabs(g * d);
        greatest_x = std::max(greatest_x, std::fabs(d));
        greatest_dy = std::max(greatest_dy, std::fabs(g));
    }
    INFO(planes.describe() << ", " << data << ": sums " << found.dy << " of " << static_cast<double>(of_dy) << ", "
                           << found.dy_xmu << " of " << static_cast<double>(of_both) << (is_scaled ? ", scaled" : ""));
    CHECK(std::fabs(found.dy - of_dy) <= kGradientTolerance * size_of_dy);
    // Products that are far smaller than the greatest dy times the greatest x - mean may leave
    // float's range: nothing for dx.
    CHECK(std::fabs(found.dy_xmu - of_both) <= kGradientTolerance * size_of_both + 0x1p-60L * greatest_x * greatest_dy);
    return is_scaled;
}

}  // namespace

TEST_CASE("the sums of the gradients are right at every magnitude of x and dy") {
    bool any_as_they_are = false, any_scaled = false;
    for (const Planes &planes : kPlanes) {
        std::vector<float> x(planes.size()), dy(planes.size());
        Random random(planes.size());
        const auto fill_with = [&](std::vector<float> &list, double scale) {
            for (float &value : list) value = static_cast<float>(scale * random.normal() / 2);
        };
        for (double scale_x : {1e38, 1e30, 1e15, 1.0, 1e-15, 1e-30, 1e-38, 1e-43, 0.0}) {
            for (double scale_dy : {1e38, 1e33, 1e30, 1e15, 1.0, 1e-15, 1e-30, 1e-38, 1e-43, 0.0}) {
                fill_with(x, scale_x);
                fill_with(dy, scale_dy);
                const std::string data = "x " + std::to_string(scale_x) + ", dy " + std::to_string(scale_dy);
                const double mean = static_cast<double>(Reference(x).mean);
                const bool is_scaled = check_gradient_sums(planes, x, dy, mean, data);
                any_as_they_are = any_as_they_are || !is_scaled;
                any_scaled = any_scaled || is_scaled;
                if (scale_x == 1 && scale_dy == 1) CHECK_FALSE(is_scaled);
                // Frozen statistics, far from the data.
                for (double far : {1.0, 1e3, 1e7})
                    if (scale_x * far < 1e38)
                        check_gradient_sums(planes, x, dy, mean + scale_x * far, data + ", frozen");
                for (double far : {1e38, -1e38, 1e-38, 1.0})
                    check_gradient_sums(planes, x, dy, far, data + ", mean " + std::to_string(far));
                // dy where there is one in 16, and of both signs by turns, so that it is orthogonal
                // to x in pairs.
                for (size_t i = 0; i < x.size(); i++)
                    if (i % 16 != 3) dy[i] = 0;
                check_gradient_sums(planes, x, dy, mean, data + ", sparse dy");
                for (size_t i = 0; i < x.size(); i++) {
                    dy[i] = static_cast<float>(i % 4 == 0 || i % 4 == 3 ? scale_dy : -scale_dy);
                    x[i] = static_cast<float>(i % 2 ? scale_x : -scale_x);
                }
                check_gradient_sums(planes, x, dy, static_cast<double>(Reference(x).mean),
                                    data + ", dy orthogonal to x");
            }
        }
        // Elements that the probe does not show.
        const std::vector<bool> probed = transcription::positions_probed(planes.S, planes.N, planes.last);
        const size_t apart = static_cast<size_t>(std::find(probed.begin(), probed.end(), false) - probed.begin());
        for (float of_x : {1.0f, 1e31f, 3e38f, 1e-30f}) {
            for (float of_dy : {1.0f, 1e31f, 3e38f, 1e-38f, 0.0f}) {
                if (apart == x.size()) continue;
                fill_with(x, 1);
                fill_with(dy, 1);
                x[apart] = of_x;
                dy[apart] = of_dy;
                check_gradient_sums(planes, x, dy, static_cast<double>(Reference(x).mean),
                                    "x " + std::to_string(of_x) + ", dy " + std::to_string(of_dy) + " in normal data");
                // Frozen statistics leave the others as they are, whatever this one is.
                const bool with_frozen = check_gradient_sums(
                    planes, x, dy, 0.25, "x " + std::to_string(of_x) + ", dy " + std::to_string(of_dy) + ", frozen");
                CHECK(with_frozen == (std::fabs(of_x - 0.25f) * of_dy > 1e30f));
                // None of dy but there.
                std::fill(dy.begin(), dy.end(), 0.0f);
                dy[apart] = of_dy;
                check_gradient_sums(planes, x, dy, 0.25,
                                    "x " + std::to_string(of_x) + ", dy 0 but one " + std::to_string(of_dy));
            }
        }
        // Constant x of any size: nothing but dy is left.
        for (float constant : {0.0f, 1e9f, 3e38f, 1e-40f}) {
            std::fill(x.begin(), x.end(), constant);
            for (double scale_dy : {1e38, 1e33, 1.0, 1e-38}) {
                fill_with(dy, scale_dy);
                const std::string data = "x of " + std::to_string(constant) + ", dy " + std::to_string(scale_dy);
                check_gradient_sums(planes, x, dy, constant, data);
                CHECK(transcription::gradient_sums(planes.group(x), planes.group(dy), constant).dy_xmu == 0);
            }
        }
    }
    CHECK((any_as_they_are && any_scaled));
}
