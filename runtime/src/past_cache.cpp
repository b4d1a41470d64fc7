#include "past_cache.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <functional>

#include "element_rows.h"
#include "witness.h"

namespace hnorm::detail {

namespace {

// Planes whose ends are left out take so many bytes at least, or shorter ones would be slower than
// with ordinary stores: where all begin alike in their line, and where each is a task of its own.
constexpr int64_t kLeastCut = 2 << 10, kLeastCutAlone = 32 << 10;

constexpr int64_t kPlanesOfTask = 64;

// Where neither Linux nor the C library knows.
constexpr int64_t kUsualCache = 32 << 20;

// Linux first: on some CPUs the C library names the sum of the caches of a socket, of which a core
// reaches a part.
int64_t read_last_level_cache() {
    for (const char *path :
         {"/sys/devices/system/cpu/cpu0/cache/index3/size", "/sys/devices/system/cpu/cpu0/cache/index2/size"}) {
        if (std::FILE *file = std::fopen(path, "re")) {
            long kilobytes = 0;
            const bool read = std::fscanf(file, "%ldK", &kilobytes) == 1;
            std::fclose(file);
            if (read && kilobytes > 0) {
                return int64_t(kilobytes) << 10;
            }
        }
    }
    long bytes = 0;
#if defined(_SC_LEVEL3_CACHE_SIZE)
    bytes = sysconf(_SC_LEVEL3_CACHE_SIZE);
    bytes = bytes > 0 ? bytes : sysconf(_SC_LEVEL2_CACHE_SIZE);
#endif
    return bytes > 0 ? bytes : kUsualCache;
}

// Rows of adjacent elements: planes, or positions of channels-last tensors.
int64_t row_bytes(const CheckedTensor &p) { return (p.layout == Layout::kChannelsLast ? p.c : p.s) * p.element_size(); }
bool is_lines(int64_t elements, const CheckedTensor &p) { return elements * p.element_size() % kLine == 0; }

bool rows_are_lines(const CheckedTensor &y) {
    const int64_t rows = y.layout == Layout::kChannelsLast ? y.stride_s * (y.s > 1) : y.stride_c;
    return misalignment(y.data) == 0 && row_bytes(y) % kLine == 0 && is_lines(rows, y) && is_lines(y.stride_n, y);
}

// Whether rows that are not whole lines are worth leaving their ends out.
bool can_be_cut(const CheckedTensor &y) {
    return y.layout == Layout::kChannelsFirst && misalignment(y.data) % y.element_size() == 0 &&
           row_bytes(y) >= (is_lines(y.stride_c, y) ? kLeastCut : kLeastCutAlone);
}

// Unlike touches(): where tensors lie between one another's elements, too. Addresses of different
// arrays, so std::less.
bool overlap(const CheckedTensor &a, const CheckedTensor &b) {
    const std::less<const char *> before;
    return before(a.data, b.end()) && before(b.data, a.end());
}

}  // namespace

int64_t last_level_cache() {
    // No static of its own making: a child that is forked meanwhile would wait for it for ever. Two
    // threads may both read it.
    static std::atomic<int64_t> known{0};
    int64_t bytes = known.load(std::memory_order_relaxed);
    if (bytes == 0) {
        bytes = read_last_level_cache();
        known.store(bytes, std::memory_order_relaxed);
    }
    return bytes;
}

bool is_dense(const CheckedTensor &p) {
    return p.layout == Layout::kChannelsFirst
               ? p.c == 1 || p.stride_c == p.s
               : (p.s == 1 || p.stride_s == p.c) && (p.n == 1 || p.stride_n == p.c * p.s);
}

WholeLines whole_lines(const CheckedTensor &y, std::initializer_list<const CheckedTensor *> inputs, bool after_sums) {
    if (rows_are_lines(y)) {
        return WholeLines::kRows;
    }
    if (can_be_cut(y)) {
        return WholeLines::kCut;
    }
    const bool dense = is_dense(y) && std::all_of(inputs.begin(), inputs.end(), [&](const CheckedTensor *input) {
                           return input == nullptr || (is_dense(*input) && input->layout == y.layout);
                       });
    const bool pays = y.layout == Layout::kChannelsLast || after_sums;
    return pays && dense && LineRows::fit(y) ? WholeLines::kElements : WholeLines::kNone;
}

bool goes_past_cache(const Dispatch &dispatch, const CheckedTensor &y,
                     std::initializer_list<const CheckedTensor *> inputs, bool after_sums) {
    const auto choose = [](PastCache choice, int64_t bytes, int64_t limit) {
        if (Witness *const asked = witness()) {
            asked->chose_stores(choice, bytes, limit);
        }
        return choice == PastCache::kGoes;
    };
    const int64_t percent = dispatch.past_cache_percent;
    if (percent == 0) {
        return choose(PastCache::kNever, 0, 0);
    }
    const auto bytes_of = [](const CheckedTensor &p) { return p.elements() * p.element_size(); };
    int64_t bytes = bytes_of(y);
    for (const CheckedTensor *input : inputs) {
        if (input != nullptr) {
            if (overlap(y, *input)) {
                return choose(PastCache::kAmongInputs, 0, 0);
            }
            bytes += bytes_of(*input);
        }
    }
    const int64_t asked = hnorm_past_cache_bytes.load(std::memory_order_relaxed);
    const int64_t limit = asked >= 0 ? asked : last_level_cache() / 100 * percent;
    const bool fits = bytes <= limit;
    return choose(fits                                                      ? PastCache::kFits
                  : whole_lines(y, inputs, after_sums) == WholeLines::kNone ? PastCache::kNoLines
                                                                            : PastCache::kGoes,
                  bytes, limit);
}

CheckedTensor cropped(const CheckedTensor &p, const Part &part) {
    CheckedTensor result = cropped(p, part.planes);
    result.data += part.s_begin * p.stride_s * p.element_size();
    result.s = part.s_end - part.s_begin;
    return result;
}

LineParts::LineParts(const CheckedTensor &y)
    : y_(y),
      channels_(is_lines(y.stride_c, y) ? y.c : 1),
      samples_(is_lines(y.stride_c, y) && is_lines(y.stride_n, y) ? std::max<int64_t>(kPlanesOfTask / y.c, 1) : 1) {}

Part LineParts::lines(int64_t i) const {
    const int64_t tasks_of_sample = y_.c / channels_;
    const int64_t n = i / tasks_of_sample * samples_, c = i % tasks_of_sample * channels_;
    const int64_t size = y_.element_size(), line = kLine / size;
    const int64_t begin = std::min((kLine - misalignment(y_.at(n, c))) % kLine / size, y_.s);
    return {{n, std::min(n + samples_, y_.n), c, c + channels_}, begin, begin + (y_.s - begin) / line * line};
}

}  // namespace hnorm::detail
