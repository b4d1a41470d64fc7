// Outputs that are stored past the cache (runtime/src/past_cache.h): no bit depends on it.
// (test_past_cache_parts.cpp: which are, and in which parts.)
#include "cases.h"
#include "catch.hpp"
#include "compare.h"
#include "element_rows.h"
#include "machine.h"
#include "past_cache.h"
#include "past_cache_from.h"

#include <atomic>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

using namespace hnorm::detail;
using test::From;
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
