#include "overlap.h"

#include <algorithm>
#include <cinttypes>
#include <utility>

#include "error.h"

namespace hnorm::detail {

namespace {

int64_t floor_divide(int64_t a, int64_t b) { return a / b - (a % b < 0); }

// Whether low <= i*stride_i + j*stride_j <= high for some 0 <= i < count_i, 0 <= j < count_j;
// strides are not negative. Exact; visits one of the two axes, the shorter.
bool any_offset_in(int64_t low, int64_t high, int64_t count_i, int64_t stride_i, int64_t count_j, int64_t stride_j) {
    if (count_i > count_j) {
        std::swap(count_i, count_j);
        std::swap(stride_i, stride_j);
    }
    for (int64_t i = 0; i < count_i; ++i) {
        const int64_t from = low - i * stride_i, to = high - i * stride_i;
        if (stride_j == 0) {
            if (from <= 0 && 0 <= to) {
                return true;
            }
            continue;
        }
        const int64_t first = std::max<int64_t>(floor_divide(from + stride_j - 1, stride_j), 0);
        const int64_t last = std::min(floor_divide(to, stride_j), count_j - 1);
        if (first <= last) {
            return true;
        }
    }
    return false;
}

// A tensor's elements as runs of adjacent ones along two further axes.
struct Runs {
    int64_t length, count_i, stride_i, count_j, stride_j;

    explicit Runs(const CheckedTensor &p)
        : length(p.layout == Layout::kChannelsFirst ? p.s : p.c),
          count_i(p.n),
          stride_i(p.stride_n),
          count_j(p.layout == Layout::kChannelsFirst ? p.c : p.s),
          stride_j(p.layout == Layout::kChannelsFirst ? p.stride_c : p.stride_s) {}

    // Whether two runs meet when one copy of the tensor lies `shift` elements after the other.
    bool meet(int64_t shift) const {
        // Differences of indices run from -(count-1) to count-1 on both axes: shifted here to start
        // at 0.
        const int64_t origin = shift + (count_i - 1) * stride_i + (count_j - 1) * stride_j;
        return any_offset_in(origin - (length - 1), origin + (length - 1), 2 * count_i - 1, stride_i, 2 * count_j - 1,
                             stride_j);
    }

    // Whether two different ones share an element.
    bool overlap() const {
        // The usual case, without a search: one axis steps over whole runs, the other over
        // everything the first covers.
        const auto nested = [&](int64_t inner, int64_t inner_stride, int64_t outer, int64_t outer_stride) {
            return (inner == 1 || inner_stride >= length) &&
                   (outer == 1 || outer_stride >= (inner - 1) * inner_stride + length);
        };
        if (nested(count_j, stride_j, count_i, stride_i) || nested(count_i, stride_i, count_j, stride_j)) {
            return false;
        }
        // Two runs differ in i, or in j alone; by symmetry only later ones need to be tried.
        if (count_j > 1 && stride_j < length) {
            return true;
        }
        const int64_t origin = (count_j - 1) * stride_j - stride_i;
        return any_offset_in(origin - (length - 1), origin + (length - 1), count_i - 1, stride_i, 2 * count_j - 1,
                             stride_j);
    }
};

bool same_strides(const CheckedTensor &a, const CheckedTensor &b) {
    return a.layout == b.layout && a.stride_n == b.stride_n && a.stride_c == b.stride_c && a.stride_s == b.stride_s;
}

// Elements from a's start to b's; not whole where b starts within an element of a.
bool shift_between(const CheckedTensor &a, const CheckedTensor &b, int64_t *shift) {
    const intptr_t bytes = reinterpret_cast<intptr_t>(b.data) - reinterpret_cast<intptr_t>(a.data);
    *shift = bytes / a.element_size();
    return bytes % a.element_size() == 0;
}

}  // namespace

bool overlaps_itself(const CheckedTensor &planes) { return Runs(planes).overlap(); }

bool touches_element(const CheckedTensor &planes, uintptr_t begin, uintptr_t end) {
    const auto from = static_cast<int64_t>(begin - begin_of(planes)), to = static_cast<int64_t>(end - begin_of(planes));
    const int64_t size = planes.element_size();
    if (from >= to) {
        return false;
    }
    // The run at offset o covers the bytes [o, o + length) * size: it meets [from, to) where o*size
    // < to and (o + length)*size > from.
    const Runs runs(planes);
    const int64_t low = floor_divide(from, size) - runs.length + 1, high = floor_divide(to - 1, size);
    return any_offset_in(low, high, runs.count_i, runs.stride_i, runs.count_j, runs.stride_j);
}

hnorm_status check_places(const char *function, const NamedTensor &x, const NamedTensor &y) {
    const CheckedTensor &a = x.planes, &b = y.planes;
    if (a.empty() || (same_strides(a, b) && a.data == b.data) || !touches(a, begin_of(b), end_of(b))) {
        return HNORM_OK;
    }
    if (!same_strides(a, b)) {
        return fail(HNORM_INVALID_ARGUMENT,
                    "%s: %s lies within %s but has other strides, (%" PRId64 ", %" PRId64 ", ...) and not (%" PRId64
                    ", %" PRId64 ", ...): %s must be %s or share no memory with it",
                    function, y.name, x.name, y.tensor->strides[0], y.tensor->strides[1], x.tensor->strides[0],
                    x.tensor->strides[1], y.name, x.name);
    }
    int64_t shift;
    if (!shift_between(a, b, &shift) || Runs(a).meet(shift)) {
        return fail(HNORM_INVALID_ARGUMENT,
                    "%s: %s overlaps %s, %" PRId64
                    " elements from its start: %s must be %s or share no element with it",
                    function, y.name, x.name, shift, y.name, x.name);
    }
    return HNORM_OK;
}

hnorm_status check_disjoint(const char *function, const NamedTensor &x, const NamedTensor &y) {
    const CheckedTensor &a = x.planes, &b = y.planes;
    int64_t shift;
    if (a.empty() || !touches(a, begin_of(b), end_of(b)) ||
        (same_strides(a, b) && shift_between(a, b, &shift) && !Runs(a).meet(shift))) {
        return HNORM_OK;
    }
    return fail(HNORM_INVALID_ARGUMENT,
                "%s: %s (%" PRId64 " elements from %p) overlaps %s (from %p): each must have its own memory", function,
                y.name, b.span(), static_cast<void *>(b.data), x.name, static_cast<void *>(a.data));
}

}  // namespace hnorm::detail
