// The groups of a view that are summed again, and what a thread remembers of them for its next
// call.
#pragma once

#include <algorithm>
#include <cstdint>

#include "error.h"
#include "scratch.h"
#include "view.h"
#include "wide.h"

namespace hnorm::detail {

// The groups that are to be summed again.
class Marks {
public:
    // Unmarks all. Memory is taken here and not before, because groups are rarely summed again.
    hnorm_status clear(const char *function, int64_t groups) {
        if (marks_ == nullptr) {
            HNORM_TRY(memory_.reserve(function, groups));
            marks_ = memory_.data();
        }
        std::fill_n(marks_, groups, 0);
        any_ = false;
        return HNORM_OK;
    }
    // Marks those groups for which is_wanted(group) is true, a lambda that is HNORM_INLINED, and no
    // others.
    template <typename Wanted>
    hnorm_status mark_where(const char *function, int64_t groups, const Wanted &is_wanted) {
        HNORM_TRY(clear(function, groups));
        int32_t *const marks = marks_;
        any_ = !holds_for_all(groups, [=](int64_t g) HNORM_INLINED {
            marks[g] = static_cast<int32_t>(is_wanted(g));
            return marks[g] == 0;
        });
        return HNORM_OK;
    }
    bool any() const { return any_; }
    // For ranks, who send each slice to each other: one slice holds all marked groups of a sample.
    void visit_together() { near_ = kMaxExtent; }
    // So many unmarked channels between marked ones are visited too.
    int64_t near() const { return near_; }
    bool is_marked(int64_t group) const { return marks_[group] != 0; }

private:
    ScratchOf<int32_t> memory_;
    int32_t *marks_ = nullptr;
    bool any_ = false;
    int64_t near_ = 16;  // a vector or two
};

// Calls visit(slice) for slices of the view's groups that together hold all marked ones. A slice
// may include neighbours, and has all channels if these are few.
template <typename Visit>
hnorm_status for_marked(const SumsView &view, const Marks &marks, const Visit &visit) {
    const int64_t channels = view.x.g0.extent;
    for (int64_t n = 0; n < view.x.g1.extent && marks.any(); ++n) {
        const auto is_marked = [&](int64_t c) { return marks.is_marked(n * channels + c); };
        for (int64_t c = 0; c < channels; ++c) {
            if (!is_marked(c)) {
                continue;
            }
            int64_t begin = c, end = c + 1;
            for (; c < channels && c < end + marks.near(); ++c) {
                end = is_marked(c) ? c + 1 : end;
            }
            if (view.few_channels) {
                begin = 0;
                end = channels;
            }
            c = end;
            HNORM_TRY(visit(Slice{n, n + 1, begin, end}));
        }
    }
    return HNORM_OK;
}

// How many groups these slices have.
inline int64_t groups_visited(const SumsView &view, const Marks &marks) {
    int64_t count = 0;
    for_marked(view, marks, [&](const Slice &slice) {
        count += slice.c_end - slice.c_begin;
        return HNORM_OK;
    });
    return count;
}

// Whether to measure groups at once, or to sum them with scales at once, where so many of the
// latest ones were visited for their magnitudes, or would have been, or needed these scales.
// Measuring takes up to 1.4 times as long as summing. No bit depends on it.
inline bool pays_to_measure(int64_t visited, int64_t groups) { return 4 * visited > groups; }

// Where a thread remembers something of its last call of so many groups of such a size. Layers take
// turns, so what one needs says little of the next. A few sizes share a place.
template <typename T>
T &remembered(const View &x) {
    constexpr int kPlacesBits = 4;
    static thread_local T places[1 << kPlacesBits];
    const uint64_t size = 31 * static_cast<uint64_t>(x.groups()) + static_cast<uint64_t>(x.group_size());
    return places[size * 0x9E3779B97F4A7C15U >> (64 - kPlacesBits)];
}

}  // namespace hnorm::detail
