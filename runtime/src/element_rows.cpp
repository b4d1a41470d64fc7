#include "element_rows.h"

#include <numeric>

#include "gathered.h"
#include "past_cache.h"

namespace hnorm::detail {

namespace {

// Rows so long keep their values in the second cache, if planes are channels-first, and in the
// first if they are channels-last. Shorter ones were slower.
constexpr int64_t kColumns = 8192, kMostColumns = 16384, kLeastBytes = 1024;

// With 12 to 24 rows instance norm had 0.74 to 0.95 of the speed of positions (8, 500, 7, 7).
constexpr int64_t kLeastRows = 32;

int64_t line_of(const CheckedTensor &y) { return kLine / y.element_size(); }

// Of whole positions and lines, for channels-last tensors.
int64_t columns_of_positions(const CheckedTensor &y) {
    const int64_t whole = y.c / std::gcd(y.c, line_of(y)) * line_of(y);
    return (std::max(kLeastBytes / y.element_size(), whole) + whole - 1) / whole * whole;
}

int64_t columns_of(const CheckedTensor &y, bool lines, int64_t flat_elements) {
    return y.layout == Layout::kChannelsLast ? columns_of_positions(y)
           : lines                           ? kColumns
                                             : std::max(flat_elements / line_of(y), int64_t(1)) * line_of(y);
}

// From element `first` of a sample on, each channel as often as it has positions.
void repeat_positions(const float *of_channels, int64_t positions, int64_t first, int64_t count, float *to) {
    const float *value = of_channels + first / positions;
    int64_t run = positions - first % positions;
    for (int64_t done = 0; done < count; done += run, run = positions, ++value) {
        const int64_t end = std::min(done + run, count);
        if (run < ElementRows::kStep) {
            std::fill(to + done, to + end, *value);
            continue;
        }
        for (int64_t i = done; i < end; i += ElementRows::kStep) {  // The next run overwrites what is too much.
            std::fill_n(to + i, ElementRows::kStep, *value);
        }
    }
}

}  // namespace

void ElementRows::repeat(const CheckedTensor &p, const Values<float> &of_channels, float *to) const {
    for (int64_t block = 0; block < blocks; ++block, to += columns) {
        if (p.layout == Layout::kChannelsLast) {
            repeat_channels(of_channels.data + block * of_channels.stride_n, p.c, begin % p.c, columns, to);
        } else {
            repeat_positions(of_channels.data, p.s, begin + block * p.s, columns, to);
        }
    }
}

LineRows::LineRows(const CheckedTensor &y, bool lines, int64_t flat_elements)
    : head(y.layout == Layout::kChannelsLast || lines ? (kLine - misalignment(y.data)) % kLine / y.element_size() : 0),
      columns(columns_of(y, lines, flat_elements)) {}

bool LineRows::fit(const CheckedTensor &y) {
    return misalignment(y.data) % y.element_size() == 0 &&
           (y.layout == Layout::kChannelsLast ? columns_of_positions(y) <= kMostColumns
                                              : y.n == 1 || y.stride_n % line_of(y) == 0);
}

bool LineRows::are_many(const CheckedTensor &y, int64_t elements) {
    return elements >= kLeastRows * columns_of_positions(y);
}

}  // namespace hnorm::detail
