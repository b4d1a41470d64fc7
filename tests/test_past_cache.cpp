// Outputs that are stored past the cache (runtime/src/past_cache.h): which are, in which parts, and that no bit depends on it.
#include "cases.h"
#include "catch.hpp"
#include "compare.h"
#include "machine.h"
#include "past_cache.h"

#include <atomic>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

using namespace hnorm::detail;
using test::Padding;
using test::Tensor;

// The linker has kernels call these in place of the runtime's (CMakeLists.txt).
#if defined(__x86_64__)
std::atomic<int64_t> tiles_stored{0};

extern "C" {
int __real_hnorm_store_past_cache_avx(char *output, int64_t offset, const char *tile);
int __real_hnorm_store_past_cache_sse(char *output, int64_t offset, const char *tile);

int __wrap_hnorm_store_past_cache_avx(char *output, int64_t offset, const char *tile) {
    tiles_stored++;
    return __real_hnorm_store_past_cache_avx(output, offset, tile);
}
int __wrap_hnorm_store_past_cache_sse(char *output, int64_t offset, const char *tile) {
    tiles_stored++;
    return __real_hnorm_store_past_cache_sse(output, offset, tile);
}
}
#endif

namespace {

const hnorm_type kTypes[] = {HNORM_F32, HNORM_F16, HNORM_BF16};

// Addresses alone matter: no byte of a tensor is read.
char *const kMemory = reinterpret_cast<char *>(uintptr_t(1) << 40);

Planes dense(Layout layout, hnorm_type type, int64_t n, int64_t c, int64_t s, char *data = kMemory) {
    const bool last = layout == Layout::kChannelsLast;
    return {data, type, HNORM_CPU, layout, n, c, s, n > 1 ? c * s : 0, c > 1 ? (last ? 1 : s) : 0, last ? c : 1};
}

std::string describe(const Planes &p) {
    return std::to_string(p.n) + " x " + std::to_string(p.c) + " x " + std::to_string(p.s) + ", layout " +
           std::to_string(int(p.layout)) + ", type " + std::to_string(int(p.type)) + ", " +
           std::to_string(reinterpret_cast<uintptr_t>(p.data) % kLine) + " bytes into a line";
}

bool starts_line(const char *address) { return reinterpret_cast<uintptr_t>(address) % kLine == 0; }

// Every element once, and in the parts that say so nothing but whole lines.
void check_parts(const Planes &y) {
    INFO(describe(y));
    std::vector<int> times(static_cast<size_t>(y.elements()));
    const LineParts parts(y);
    int64_t outside = 0, ragged = 0, unlike = 0;
    for (int64_t i = 0; i < parts.tasks(); ++i) {
        parts.run(i, [&](const Part &part, bool lines) {
            const Planes p = cropped(y, part);
            const bool last = y.layout == Layout::kChannelsLast;
            ragged += lines && (last ? p.c : p.s) * p.element_size() % kLine != 0;
            for (int64_t n = 0; n < p.n; ++n) {
                for (int64_t c = 0; c < p.c; ++c) {
                    ragged += lines && !last && !starts_line(p.at(n, c));
                    for (int64_t s = 0; s < p.s; ++s) {
                        const char *element = p.at(n, c) + s * p.stride_s * p.element_size();
                        ragged += lines && last && c == 0 && !starts_line(element);
                        const int64_t n_of_y = part.planes.n_begin + n, c_of_y = part.planes.c_begin + c;
                        const int64_t s_of_y = part.s_begin + s;
                        if (n_of_y >= y.n || c_of_y >= y.c || s_of_y >= y.s) {
                            ++outside;
                            continue;
                        }
                        unlike += element != y.at(n_of_y, c_of_y) + s_of_y * y.stride_s * y.element_size();
                        ++times[static_cast<size_t>((n_of_y * y.c + c_of_y) * y.s + s_of_y)];
                    }
                }
            }
            return HNORM_OK;
        });
    }
    int64_t not_once = 0;
    for (int count : times) not_once += count != 1;
    CHECK(not_once == 0);
    CHECK(outside == 0);
    CHECK(ragged == 0);
    CHECK(unlike == 0);
}

bool whole(const Planes &y) { return LineParts(y).tasks() == 1; }

bool goes(const Planes &y, std::initializer_list<const Planes *> inputs, int64_t percent) {
    Dispatch dispatch = {};
    dispatch.past_cache_percent = percent;
    return goes_past_cache(dispatch, y, inputs);
}

// While it lives, outputs of that many bytes together with their inputs go past the cache.
struct From {
    explicit From(int64_t bytes) { hnorm_past_cache_bytes = bytes; }
    ~From() { hnorm_past_cache_bytes = -1; }
};

// Rows of whole tiles, of whole lines but not of whole tiles, and others; planes of each class that has such stores.
const std::vector<std::pair<test::Shape, Padding>> kOutputs = {
    {{3, 2, 128, 64}, {0, 0, false}}, {{2, 3, 56, 56}, {0, 0, false}},  {{2, 19, 28, 28}, {0, 0, false}},
    {{2, 70, 8, 8}, {0, 0, false}},   {{3, 5, 1040}, {0, 0, false}},    {{2, 3, 111, 111}, {0, 0, false}},
    {{2, 3, 111, 111}, {0, 0, true}}, {{2, 3, 64, 48}, {1, 0, true}},   {{2, 3, 64, 48}, {32, 64, false}},
    {{2, 3, 64, 48}, {32, 7, true}},  {{1, 2, 200, 100}, {0, 0, true}}, {{2, 64, 7, 7}, {0, 0, false}},
    {{3, 80, 5, 3}, {0, 0, false}},   {{2, 96, 6}, {32, 64, false}},    {{2, 128, 6}, {0, 1, false}},
    {{1, 1040, 9}, {0, 0, false}},    {{5, 2080, 4}, {0, 0, false}},    {{70, 256}, {0, 0, false}},
    {{2, 16, 40}, {0, 0, false}},     {{2, 130, 6}, {0, 0, false}},     {{3, 64, 1}, {0, 0, true}}};

// How many tiles of 256 bytes y's whole lines are cut into; -1 for few channels, which may be seen side by side or not.
int64_t tiles_of(const Tensor &y) {
    constexpr int64_t kTile = 256, kFewChannels = 32;
    const bool adjacent = y.format().channels_last || (y.positions() == 1 && y.stride_c() == 1);
    const Layout layout = adjacent ? Layout::kChannelsLast : Layout::kChannelsFirst;
    const Planes planes = {y.store(),
                           y.format().type,
                           HNORM_CPU,
                           layout,
                           y.samples(),
                           y.channels(),
                           y.positions(),
                           y.samples() > 1 ? y.stride_n() : 0,
                           y.channels() > 1 ? y.stride_c() : 0,
                           adjacent && y.positions() == 1 ? y.channels() : y.stride_s()};
    if (adjacent && y.channels() < kFewChannels) return -1;
    if (!goes(planes, {}, 100)) return 0;
    int64_t tiles = 0;
    const LineParts parts(planes);
    for (int64_t i = 0; i < parts.tasks(); ++i) {
        parts.run(i, [&](const Part &part, bool lines) {
            const Planes p = cropped(planes, part);
            const bool last = layout == Layout::kChannelsLast;
            const int64_t rows = p.n * (last ? p.s : p.c), bytes = (last ? p.c : p.s) * p.element_size();
            if (lines && bytes >= kTile) tiles += rows * ((bytes + kTile - 1) / kTile);
            return HNORM_OK;
        });
    }
    return tiles;
}

// Calls compute(y) with ordinary stores and with stores past the cache, on every target and with several threads.
template <typename Compute>
void check_same(const test::Shape &shape, const Padding &padding, const std::string &what, const Compute &compute) {
    for (const std::string &target : test::usable_targets()) {
        for (int threads : {1, 3}) {
            const test::Machine machine(target, threads);
            Tensor expected(shape, padding), actual(shape, padding);
            {
                const From never(INT64_MAX);
                compute(expected);
            }
            const From always(0);
#if defined(__x86_64__)
            tiles_stored = 0;
            compute(actual);
            const int64_t tiles = tiles_of(actual);
            if (tiles >= 0) REQUIRE(tiles_stored == tiles);
#else
            compute(actual);
#endif
            const std::string difference = test::difference(actual, test::elements(expected));
            if (!difference.empty())
                FAIL(what << ", " << actual.describe() << ", " << target << ", threads " << threads << ": "
                          << difference);
        }
    }
}

}  // namespace

TEST_CASE("the parts of an output are each of its elements once, and lines are whole", "[once]") {
    for (hnorm_type type : kTypes) {
        const int64_t size = type == HNORM_F32 ? 4 : 2;
        for (int64_t c : {1, 2, 3, 17, 64}) {
            for (int64_t s : {1, 15, 49, 196, 3025, 3136}) {
                for (int64_t offset : {int64_t(0), size, int64_t(16), 64 - size}) {
                    check_parts(dense(Layout::kChannelsFirst, type, 2, c, s, kMemory + offset));
                }
            }
        }
        for (int64_t c : {32, 64, 96, 2048}) check_parts(dense(Layout::kChannelsLast, type, 3, c, 49));
    }
}

TEST_CASE("parts of padded outputs, too", "[once]") {
    for (hnorm_type type : kTypes) {
        for (int64_t padding : {1, 8, 64}) {
            Planes y = dense(Layout::kChannelsFirst, type, 2, 21, 160);
            y.stride_c += padding;
            y.stride_n = y.c * y.stride_c + 3 * padding;
            check_parts(y);
        }
    }
}

TEST_CASE("an output of whole lines is one part", "[once]") {
    CHECK(whole(dense(Layout::kChannelsFirst, HNORM_F32, 32, 64, 112 * 112)));
    CHECK(whole(dense(Layout::kChannelsLast, HNORM_F16, 32, 64, 7 * 7)));
    CHECK_FALSE(whole(dense(Layout::kChannelsFirst, HNORM_F32, 32, 64, 55 * 55)));
    CHECK_FALSE(whole(dense(Layout::kChannelsFirst, HNORM_F32, 32, 64, 112 * 112, kMemory + 16)));
}

TEST_CASE("outputs are stored past the cache where the cache cannot hold them beside the inputs", "[once]") {
    const int64_t n = last_level_cache() / (64 * 3136 * 4) + 1;  // one tensor is the cache
    for (Layout layout : {Layout::kChannelsFirst, Layout::kChannelsLast}) {
        const Planes y = dense(layout, HNORM_F32, n, 64, 3136);
        const Planes x = dense(layout, HNORM_F32, n, 64, 3136, kMemory + (int64_t(1) << 38));
        const Planes residual = dense(layout, HNORM_F32, n, 64, 3136, kMemory - (int64_t(1) << 38));
        CHECK(goes(y, {&x}, 150));
        CHECK_FALSE(goes(y, {&x}, 250));
        CHECK_FALSE(goes(y, {&x}, 0));  // of targets without such stores
        CHECK(goes(y, {&x, &residual}, 250));
        CHECK(goes(y, {&x, nullptr}, 150));
    }
}

TEST_CASE("an output among the bytes of an input is not stored past the cache", "[once]") {
    const From always(0);
    const Planes y = dense(Layout::kChannelsFirst, HNORM_F32, 64, 64, 112 * 112);
    Planes x = y;
    CHECK_FALSE(goes(y, {&x}, 100));
    x.data += y.elements() * 4 - 4;
    CHECK_FALSE(goes(y, {&x}, 100));
    x.data = y.data - y.elements() * 4 + 4;
    CHECK_FALSE(goes(y, {&x}, 100));
    x.data -= 4;
    CHECK(goes(y, {&x}, 100));
}

TEST_CASE("short rows that are not whole lines are not stored past the cache", "[once]") {
    const From always(0);
    const Planes x = dense(Layout::kChannelsFirst, HNORM_F32, 512, 512, 55 * 55, kMemory + (int64_t(1) << 38));
    const auto stored = [&](Layout layout, int64_t c, int64_t s, int64_t offset) {
        return goes(dense(layout, HNORM_F32, 64, c, s, kMemory + offset), {&x}, 100);
    };
    CHECK(stored(Layout::kChannelsFirst, 64, 8 * 8, 0));
    CHECK_FALSE(stored(Layout::kChannelsFirst, 64, 8 * 8, 16));
    CHECK_FALSE(stored(Layout::kChannelsFirst, 64, 7 * 7, 0));
    CHECK_FALSE(stored(Layout::kChannelsFirst, 64, 27 * 27, 0));
    CHECK_FALSE(stored(Layout::kChannelsFirst, 64, 55 * 55, 0));
    CHECK(stored(Layout::kChannelsFirst, 64, 28 * 28, 16));
    CHECK(stored(Layout::kChannelsFirst, 64, 111 * 111, 0));
    CHECK_FALSE(stored(Layout::kChannelsFirst, 64, 111 * 111, 2));  // not even whole elements
    CHECK(stored(Layout::kChannelsLast, 64, 49, 0));
    CHECK_FALSE(stored(Layout::kChannelsLast, 64, 49, 16));
    CHECK_FALSE(stored(Layout::kChannelsLast, 65, 49, 0));
}

TEST_CASE("forward and normalize past the cache give the bits that they give through it") {
    uint64_t i = 0;
    for (const auto &[shape, padding] : kOutputs) {
        for (hnorm_group group : test::kGroups) {
            const test::Case given = test::varied(shape, i++);
            if (group == HNORM_INSTANCE && (shape.size() == 2 || shape[2] == 1)) continue;  // groups of one element
            Tensor x(shape, given.padding), residual(shape);
            given.fill(x);
            test::fill(residual, {test::Kind::kNormal, 0, 1, i});
            const test::Affine affine(given.affine, x, i);
            const test::Post post = {given.activation, i % 2 ? &residual : nullptr};
            const test::Statistics moments = test::moments(x, group);
            const std::vector<double> variance = test::variances(moments);
            check_same(shape, padding, "forward", [&](Tensor &y) { test::forward(x, group, affine, 1e-5, y, post); });
            check_same(shape, padding, "normalize",
                       [&](Tensor &y) { test::normalize(x, group, moments.mean, variance, affine, 1e-5, y, post); });
        }
    }
}

TEST_CASE("gradients past the cache are those that pass through it") {
    uint64_t i = 0;
    for (const auto &[shape, padding] : kOutputs) {
        for (hnorm_group group : test::kGroups) {
            const test::Case given = test::varied(shape, i++);
            if (group == HNORM_INSTANCE && (shape.size() == 2 || shape[2] == 1)) continue;  // groups of one element
            Tensor x(shape, given.padding), dy(shape);
            given.fill(x);
            test::fill(dy, {test::Kind::kNormal, 0, 1, i});
            const test::Affine affine(given.affine, x, i);
            const test::Statistics moments = test::moments(x, group);
            const std::vector<double> variance = test::variances(moments);
            for (bool frozen : {false, true}) {
                check_same(shape, padding, frozen ? "normalize_backward" : "backward", [&](Tensor &dx) {
                    test::backward(&x, dy, group, moments.mean, variance, affine, 1e-5, frozen, &dx,
                                   test::Wanted::kBoth, {given.activation});
                });
            }
        }
    }
}
