// Which outputs are stored past the cache (runtime/src/past_cache.h), and in which parts. (That no
// bit depends on it: test_past_cache.cpp.)
#include "catch.hpp"
#include "element_rows.h"
#include "past_cache.h"
#include "past_cache_from.h"

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

using namespace hnorm::detail;
using test::From;

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
