// Outputs that are stored past the cache (runtime/src/past_cache.h): which are, in which parts, and
// that no bit depends on it.
#include "cases.h"
#include "catch.hpp"
#include "compare.h"
#include "element_rows.h"
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

CheckedTensor dense(Layout layout, hnorm_type type, int64_t n, int64_t c, int64_t s, char *data = kMemory) {
    const bool last = layout == Layout::kChannelsLast;
    return {data, type, HNORM_CPU, layout, n, c, s, n > 1 ? c * s : 0, c > 1 ? (last ? 1 : s) : 0, last ? c : 1};
}

std::string describe(const CheckedTensor &p) {
    return std::to_string(p.n) + " x " + std::to_string(p.c) + " x " + std::to_string(p.s) + ", layout " +
           std::to_string(int(p.layout)) + ", type " + std::to_string(int(p.type)) + ", " +
           std::to_string(reinterpret_cast<uintptr_t>(p.data) % kLine) + " bytes into a line";
}

bool starts_line(const char *address) { return reinterpret_cast<uintptr_t>(address) % kLine == 0; }

// Each plane in one task, and its positions that are cut out are lines, as many as there are.
void check_parts(const CheckedTensor &y) {
    INFO(describe(y));
    std::vector<int> times(static_cast<size_t>(y.n * y.c));
    const LineParts parts(y);
    const int64_t size = y.element_size();
    int64_t outside = 0, ragged = 0, left = 0;
    for (int64_t i = 0; i < parts.tasks(); ++i) {
        const Part part = parts.lines(i);
        const bool some = part.s_begin < part.s_end;
        outside += part.s_begin < 0 || part.s_end > y.s || part.s_begin > part.s_end;
        ragged += some && (part.s_end - part.s_begin) * size % kLine != 0;
        left += some && (part.s_begin * size >= kLine || (y.s - part.s_end) * size >= kLine);
        for (int64_t n = part.planes.n_begin; n < part.planes.n_end; ++n) {
            for (int64_t c = part.planes.c_begin; c < part.planes.c_end; ++c) {
                if (n >= y.n || c >= y.c) {
                    ++outside;
                    continue;
                }
                ragged += some && !starts_line(y.at(n, c) + part.s_begin * size);
                ++times[static_cast<size_t>(n * y.c + c)];
            }
        }
    }
    int64_t not_once = 0;
    for (int count : times) not_once += count != 1;
    CHECK(not_once == 0);
    CHECK(outside == 0);
    CHECK(ragged == 0);
    CHECK(left == 0);
}

bool whole(const CheckedTensor &y) { return whole_lines(y, {}, true) == WholeLines::kRows; }

bool goes(const CheckedTensor &y, std::initializer_list<const CheckedTensor *> inputs, int64_t percent,
          bool after_sums = true) {
    Dispatch dispatch = {};
    dispatch.past_cache_percent = percent;
    return goes_past_cache(dispatch, y, inputs, after_sums);
}

// While it lives, outputs of that many bytes together with their inputs go past the cache.
struct From {
    explicit From(int64_t bytes) { hnorm_past_cache_bytes = bytes; }
    ~From() { hnorm_past_cache_bytes = -1; }
};

// Rows of whole tiles, of whole lines but not of whole tiles, and others; planes of each class that
// has such stores.
const std::vector<std::pair<test::Shape, Padding>> kOutputs = {
    {{3, 2, 128, 64}, {0, 0, false}},
    {{2, 3, 56, 56}, {0, 0, false}},
    {{2, 19, 28, 28}, {0, 0, false}},
    {{2, 70, 8, 8}, {0, 0, false}},
    {{3, 5, 1040}, {0, 0, false}},
    {{2, 3, 111, 111}, {0, 0, false}},
    {{2, 3, 111, 111}, {0, 0, true}},
    {{2, 3, 64, 48}, {1, 0, true}},
    {{2, 3, 64, 48}, {32, 64, false}},
    {{2, 3, 64, 48}, {32, 7, true}},
    {{1, 2, 200, 100}, {0, 0, true}},
    {{2, 64, 7, 7}, {0, 0, false}},
    {{3, 80, 5, 3}, {0, 0, false}},
    {{2, 96, 6}, {32, 64, false}},
    {{2, 128, 6}, {0, 1, false}},
    {{1, 1040, 9}, {0, 0, false}},
    {{5, 2080, 4}, {0, 0, false}},
    {{70, 256}, {0, 0, false}},
    {{2, 64, 7, 7}, {0, 0, true}},
    {{3, 32, 9, 9}, {0, 0, true}},
    {{40, 64, 7, 7}, {0, 0, false}},
    {{2, 70, 30}, {0, 0, true}},
    {{5, 300, 9}, {0, 0, true}},
    {{2, 16, 40}, {0, 0, false}},
    {{2, 130, 6}, {0, 0, false}},
    {{3, 64, 1}, {0, 0, true}},
    // Planes of whole lines that all begin at the same place of a line, which is not its first
    // byte.
    {{2, 3, 64, 48}, {0, 0, true, 4}},
    {{4, 6, 56, 56}, {0, 0, true, 1}},
    {{2, 1, 64, 48}, {0, 0, true, 12}},
    {{2, 3, 64, 48}, {0, 64, true, 12}},
    {{3, 7, 40, 40}, {0, 5, true, 3}},
    {{2, 64, 49}, {0, 0, true, 3}}};

// How an output is made: of inputs that are all dense; after the sums of batch norm's groups, as
// whole_lines() asks.
struct Made {
    bool of_dense, after_sums;
};

// How many tiles of 256 bytes y's whole lines are cut into; -1 where it depends on inputs that are
// not dense, on the work's blocks, or on few channels, which may be seen side by side or not.
int64_t tiles_of(const Tensor &y, const Made &made) {
    constexpr int64_t kTile = 256, kFewChannels = 32, kOneBlock = 8192;
    const bool adjacent = y.format().channels_last || (y.positions() == 1 && y.stride_c() == 1);
    const Layout layout = adjacent ? Layout::kChannelsLast : Layout::kChannelsFirst;
    const CheckedTensor planes = {y.store(),
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
    const auto tiles_of_rows = [](int64_t rows, int64_t bytes) {
        return bytes >= kTile ? rows * ((bytes + kTile - 1) / kTile) : 0;
    };
    switch (whole_lines(planes, {}, made.after_sums)) {
    case WholeLines::kNone: return 0;
    case WholeLines::kRows: {
        const int64_t rows = adjacent ? planes.n * planes.s : planes.n * planes.c;
        return tiles_of_rows(rows, planes.elements() / rows * planes.element_size());
    }
    case WholeLines::kElements: {
        if (adjacent || !made.of_dense || planes.elements() > kOneBlock) return -1;
        const int64_t size = planes.element_size(), head = LineRows(planes, true, 0).head;
        return tiles_of_rows(planes.n, (planes.c * planes.s - head) * size / kLine * kLine);
    }
    case WholeLines::kCut: break;
    }
    int64_t tiles = 0;
    const LineParts parts(planes);
    for (int64_t i = 0; i < parts.tasks(); ++i) {
        const Part part = parts.lines(i);
        const CheckedTensor p = cropped(planes, part);
        tiles += tiles_of_rows(p.n * p.c, p.s * p.element_size());
    }
    return tiles;
}

// Calls compute(y) with ordinary stores and with stores past the cache, on every target and with
// several threads.
template <typename Compute>
void check_same(const test::Shape &shape, const Padding &padding, const Made &made, const std::string &what,
                const Compute &compute) {
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
            const int64_t tiles = tiles_of(actual, made);
            INFO(what << ", " << actual.describe() << ", " << target << ", threads " << threads);
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
    }
}

TEST_CASE("parts of padded outputs, too", "[once]") {
    for (hnorm_type type : kTypes) {
        for (int64_t padding : {1, 8, 64}) {
            CheckedTensor y = dense(Layout::kChannelsFirst, type, 2, 21, 160);
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
        const CheckedTensor y = dense(layout, HNORM_F32, n, 64, 3136);
        const CheckedTensor x = dense(layout, HNORM_F32, n, 64, 3136, kMemory + (int64_t(1) << 38));
        const CheckedTensor residual = dense(layout, HNORM_F32, n, 64, 3136, kMemory - (int64_t(1) << 38));
        CHECK(goes(y, {&x}, 150));
        CHECK_FALSE(goes(y, {&x}, 250));
        CHECK_FALSE(goes(y, {&x}, 0));  // of targets without such stores
        CHECK(goes(y, {&x, &residual}, 250));
        CHECK(goes(y, {&x, nullptr}, 150));
    }
}

TEST_CASE("an output among the bytes of an input is not stored past the cache", "[once]") {
    const From always(0);
    const CheckedTensor y = dense(Layout::kChannelsFirst, HNORM_F32, 64, 64, 112 * 112);
    CheckedTensor x = y;
    CHECK_FALSE(goes(y, {&x}, 100));
    x.data += y.elements() * 4 - 4;
    CHECK_FALSE(goes(y, {&x}, 100));
    x.data = y.data - y.elements() * 4 + 4;
    CHECK_FALSE(goes(y, {&x}, 100));
    x.data -= 4;
    CHECK(goes(y, {&x}, 100));
}

TEST_CASE("where no whole lines lie side by side, nothing is stored past the cache", "[once]") {
    const From always(0);
    const CheckedTensor x = dense(Layout::kChannelsFirst, HNORM_F32, 512, 512, 55 * 55, kMemory + (int64_t(1) << 38));
    const auto stored = [&](Layout layout, int64_t c, int64_t s, int64_t offset, hnorm_type type = HNORM_F32,
                            bool after_sums = true) {
        const CheckedTensor input = dense(layout, type, 64, c, s, x.data);
        return goes(dense(layout, type, 64, c, s, kMemory + offset), {&input, nullptr}, 100, after_sums);
    };
    CHECK(stored(Layout::kChannelsFirst, 64, 8 * 8, 0));
    CHECK(stored(Layout::kChannelsFirst, 64, 8 * 8, 16));
    CHECK(stored(Layout::kChannelsFirst, 64, 7 * 7, 0));
    CHECK_FALSE(stored(Layout::kChannelsFirst, 3, 7 * 7, 0));  // samples begin at different places of a line
    CHECK(stored(Layout::kChannelsFirst, 64, 55 * 55, 0));
    CHECK_FALSE(stored(Layout::kChannelsFirst, 64, 55 * 55, 0, HNORM_F32, false));
    CHECK(stored(Layout::kChannelsFirst, 64, 28 * 28, 16));
    CHECK(stored(Layout::kChannelsFirst, 64, 111 * 111, 0));
    CHECK_FALSE(stored(Layout::kChannelsFirst, 64, 111 * 111, 2));  // not even whole elements
    CHECK(stored(Layout::kChannelsLast, 64, 49, 0));
    CHECK(stored(Layout::kChannelsLast, 64, 49, 16));
    CHECK_FALSE(stored(Layout::kChannelsLast, 64, 49, 2));
    CHECK(stored(Layout::kChannelsLast, 65, 49, 0, HNORM_F32, false));
    CHECK(stored(Layout::kChannelsLast, 3, 224 * 224, 16));
    CHECK_FALSE(stored(Layout::kChannelsLast, 2047, 49, 0, HNORM_F16));  // 32 positions a row of lines

    CheckedTensor y = dense(Layout::kChannelsFirst, HNORM_F32, 64, 64, 7 * 7), input = y;
    input.data = x.data;
    CHECK(goes(y, {&input}, 100));
    input.stride_c += 1;
    CHECK_FALSE(goes(y, {&input}, 100));
    input = y;
    input.data = x.data;
    y.stride_c += 1;
    CHECK_FALSE(goes(y, {&input}, 100));
}

TEST_CASE("rows of elements begin with a line and are whole lines, and of channels-last tensors whole positions",
          "[once]") {
    for (hnorm_type type : kTypes) {
        for (Layout layout : {Layout::kChannelsFirst, Layout::kChannelsLast}) {
            for (int64_t c : {1, 3, 16, 64, 65, 100, 500}) {
                for (int64_t offset : {0, 4, 16, 60}) {
                    const CheckedTensor y = dense(layout, type, 2, c, 64, kMemory + offset);
                    INFO(describe(y));
                    REQUIRE(LineRows::fit(y));
                    const LineRows rows(y, true, 0);
                    CHECK(starts_line(y.data + rows.head * y.element_size()));
                    CHECK(rows.head * y.element_size() < kLine);
                    CHECK(rows.columns * y.element_size() % kLine == 0);
                    if (layout == Layout::kChannelsLast) CHECK(rows.columns % c == 0);
                }
            }
        }
    }
}

TEST_CASE("forward and normalize past the cache give the bits that they give through it") {
    uint64_t i = 0;
    for (const auto &[shape, padding] : kOutputs) {
        for (hnorm_group group : test::kGroups) {
            const test::Case given = test::varied(shape, i++);
            if (group == HNORM_INSTANCE && (shape.size() == 2 || shape[2] == 1)) continue;  // groups of one element
            Tensor x(shape, given.padding), residual(shape);
            given.fill(x);
            const bool is_dense = given.padding.c == 0 && given.padding.n == 0;
            test::fill(residual, {test::Kind::kNormal, 0, 1, i});
            const test::Affine affine(given.affine, x, i);
            const test::Post post = {given.activation, i % 2 ? &residual : nullptr};
            const test::Statistics moments = test::moments(x, group);
            const std::vector<double> variance = test::variances(moments);
            const bool shared = group == HNORM_BATCH && given.affine != test::AffineKind::kSampleAndChannel;
            check_same(shape, padding, {is_dense, shared}, "forward",
                       [&](Tensor &y) { test::forward(x, group, affine, 1e-5, y, post); });
            check_same(shape, padding, {is_dense, false}, "normalize",
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
            const bool is_dense = given.padding.c == 0 && given.padding.n == 0;
            test::fill(dy, {test::Kind::kNormal, 0, 1, i});
            const test::Affine affine(given.affine, x, i);
            const test::Statistics moments = test::moments(x, group);
            const std::vector<double> variance = test::variances(moments);
            const bool shared = group == HNORM_BATCH && given.affine != test::AffineKind::kSampleAndChannel;
            for (bool frozen : {false, true}) {
                check_same(shape, padding, {is_dense, shared && !frozen}, frozen ? "normalize_backward" : "backward",
                           [&](Tensor &dx) {
                               test::backward(&x, dy, group, moments.mean, variance, affine, 1e-5, frozen, &dx,
                                              test::Wanted::kBoth, {given.activation});
                           });
            }
        }
    }
}
