// The order of docs/order.md itself, before any kernel: its transcription is accurate, and sums few
// groups twice. (test_transcription_chunks.cpp: what is added to what. The kernels equal it bit for
// bit: test_bits.cpp, test_kernels.cpp.)
#include "accuracy.h"
#include "catch.hpp"
#include "expected.h"
#include "planes.h"

#include <algorithm>
#include <cfloat>
#include <functional>
#include <iostream>
#include <limits>
#include <string>
#include <utility>
#include <vector>

using namespace test;

namespace {

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
