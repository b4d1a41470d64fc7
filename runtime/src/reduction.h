// The common part of the sums of forward and backward: the view of a tensor, and the order in which
// the parts of its groups are added (docs/order.md, "Chunks and runs").
#pragma once

#include <algorithm>

#include "buffers.h"
#include "call.h"
#include "error.h"
#include "scratch.h"
#include "wide.h"

namespace hnorm::detail {

// How chunks and runs cut planes of so many positions: the planes of a chunk (P), the chunks along
// a plane (K), and the chunks of a run across planes (Q).
struct ChunkPlanes {
    int64_t chunk, chunks_of_plane, chunks_of_run;
};
ChunkPlanes chunk_planes(PlaneClass planes, int64_t positions);
// How the chunks of planes of one lane follow each other, where each chunk has one axis: across
// tiny planes it has `length` planes, and along a plane of class last `length` positions. So many
// chunks are a run, unless the plane has fewer.
struct LaneChunks {
    int64_t length, of_run;
};
LaneChunks lane_chunks(PlaneClass planes, int64_t positions);
// How many runs (a, b) a group has.
struct Runs {
    int64_t a, b;
};
Runs runs_of(PlaneClass planes, int64_t positions, int64_t samples);

// The results of a reduction, for each group. greatest: the bits of magnitudes, or null if they are
// not computed.
struct Sums {
    double *e, *q;
    int32_t *greatest[2];

    Sums from(int64_t group) const {
        return {e + group,
                q + group,
                {greatest[0] ? greatest[0] + group : nullptr, greatest[1] ? greatest[1] + group : nullptr}};
    }
};

// What a kernel writes for each run, and the sums over the runs: `sums`, in which the groups of one
// sample lie stride_n after those of the sample before.
class RunSums {
public:
    // together: so many neighbouring groups of x are one group of `sums`.
    RunSums(const View &x, PlaneClass planes, const Sums &sums, int64_t stride_n, int64_t together = 1);
    hnorm_status reserve(const char *function);

    halide_buffer_t *e() { return e_; }
    halide_buffer_t *q() { return q_; }
    halide_buffer_t *greatest(int i) { return i == 0 ? first_ : second_; }

    // Adds the runs in their order.
    void add_up() const;
    // Calls visit(e, q, greatest) for each run of groups of one sample, in their order.
    template <typename Visit>
    void for_each(const Visit &visit) const {
        for (int64_t j = 0; j < runs(); ++j) {
            const int64_t at = j * x_.groups();
            const int32_t *const bits[] = {in_place() ? sums_.greatest[0] : bits_ + at,
                                           in_place() ? sums_.greatest[1] : bits_ + size() + at};
            visit(in_place() ? sums_.e : values_ + at, in_place() ? sums_.q : values_ + size() + at, bits);
        }
    }

private:
    class RunBuffer : public Buffer<4> {
    public:
        RunBuffer(halide_type_t type, const View &x, const Runs &runs, int64_t stride_n)
            : Buffer(nullptr, type,
                     {{x.g0.extent, 1},
                      {runs.a, x.g0.extent},
                      {runs.b, x.g0.extent * runs.a},
                      {x.g1.extent, x.g1.extent == 1 ? 0 : stride_n}}) {}
        void at(void *memory) { static_cast<halide_buffer_t *>(*this)->host = static_cast<uint8_t *>(memory); }
    };
    int64_t runs() const { return runs_.a * runs_.b; }
    int64_t size() const { return x_.groups() * runs(); }
    bool in_place() const { return runs() == 1 && together_ == 1; }
    void add_up_together() const;

    const View x_;
    const int64_t together_;
    const Runs runs_;
    const Sums sums_;
    const int64_t stride_n_;
    RunBuffer e_, q_, first_, second_;
    Scratch memory_;
    const double *values_ = nullptr;
    const int32_t *bits_ = nullptr;
};

// Sums of groups that are added up later. They have magnitudes if `like` has them.
class PartSums {
public:
    hnorm_status reserve(const char *function, const Sums &like, int64_t size) {
        HNORM_TRY(memory_.reserve(function, 3 * size));
        double *const values = memory_.data();
        auto *const bits = reinterpret_cast<int32_t *>(values + 2 * size);
        sums = {values, values + size, {like.greatest[0] ? bits : nullptr, like.greatest[1] ? bits + size : nullptr}};
        return HNORM_OK;
    }
    Sums sums = {};

private:
    Scratch memory_;
};

// Floats of groups, repeated side by side.
class RepeatedFloats {
public:
    // Repeats the value of a channel for each position of transposed planes. x has one sample.
    hnorm_status repeat_positions(const char *function, const View &x, const float *values) {
        const int64_t positions = x.r.extent;
        HNORM_TRY(scratch_.reserve(function, x.g0.extent * positions));
        for (int64_t c = 0; c < x.g0.extent; ++c) {
            std::fill_n(scratch_.data() + c * positions, positions, values[c]);
        }
        data = scratch_.data();
        return HNORM_OK;
    }
    // Repeats one value.
    hnorm_status repeat_value(const char *function, float value, int64_t count) {
        HNORM_TRY(scratch_.reserve(function, count));
        std::fill_n(scratch_.data(), count, value);
        data = scratch_.data();
        return HNORM_OK;
    }
    // Repeats the values of all channels for each part of few channels.
    hnorm_status repeat(const char *function, const View &x, const float *values, int64_t values_n) {
        const int64_t samples = values_n == 0 ? 1 : x.g1.extent, width = x.g0.extent * kFewChannelsParts;
        HNORM_TRY(scratch_.reserve(function, samples * width));
        for (int64_t n = 0; n < samples; ++n) {
            for (int64_t i = 0; i < width; ++i) {
                scratch_.data()[n * width + i] = values[n * values_n + i % x.g0.extent];
            }
        }
        data = scratch_.data();
        stride_n = values_n == 0 ? 0 : width;
        return HNORM_OK;
    }

    const float *data = nullptr;
    int64_t stride_n = 0;

private:
    ScratchOf<float> scratch_;
};

// Calls reduce(of, repeats, sums, stride_n) for each part of the view that is summed by itself, and
// adds the results, part after part (docs/order.md, "Few channels"). x: those groups of the view
// that are wanted. The arguments of reduce:
// - of(tensor): the piece of a tensor like x that this call sums
// - repeats: how often the values of a channel are repeated side by side for it
// - sums: the results; those of one sample lie stride_n after those of the sample before
template <typename Reduce>
hnorm_status for_parts(const char *function, const SumsView &view, const View &x, const Sums &sums,
                       const Reduce &reduce) {
    const int64_t channels = x.g0.extent;
    if (!view.few_channels) {
        return reduce([](const View &v) { return v; }, 1, sums, channels);
    }
    const bool remains = few_channels_remainder(x).s.extent > 0;
    const int64_t parts = kFewChannelsParts + static_cast<int64_t>(remains), stride_n = parts * channels;
    const int64_t size = x.g1.extent * stride_n;
    PartSums memory;
    HNORM_TRY(memory.reserve(function, sums, size));
    const Sums &of_parts = memory.sums;
    for (int64_t i = 0; i < kFewChannelsParts && !view.dense; ++i) {
        HNORM_TRY(
            reduce([i](const View &v) { return few_channels_part(v, i); }, 1, of_parts.from(i * channels), stride_n));
    }
    if (view.dense) {
        HNORM_TRY(reduce(few_channels_parts, kFewChannelsParts, of_parts, stride_n));
    }
    if (remains) {
        HNORM_TRY(reduce(few_channels_remainder, 1, of_parts.from(kFewChannelsParts * channels), stride_n));
    }
    for (int64_t n = 0, group = 0; n < x.g1.extent; ++n) {
        for (int64_t c = 0; c < channels; ++c, ++group) {
            double e = 0, q = 0;
            int32_t greatest[2] = {0, 0};
            for (int64_t i = 0; i < parts; ++i) {
                const int64_t at = n * stride_n + i * channels + c;
                e += of_parts.e[at];
                q += of_parts.q[at];
                for (int k = 0; k < 2 && sums.greatest[k]; ++k) {
                    greatest[k] = std::max(greatest[k], of_parts.greatest[k][at]);
                }
            }
            sums.e[group] = e;
            sums.q[group] = q;
            for (int k = 0; k < 2 && sums.greatest[k]; ++k) {
                sums.greatest[k][group] = greatest[k];
            }
        }
    }
    return HNORM_OK;
}

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

// Whether to measure groups at once, where so many of the latest ones were visited for their
// magnitudes, or would have been. Measuring takes up to 1.4 times as long as summing. No bit
// depends on it.
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

// Calls reduce(view, first) for the view's groups: for all at once, or for each channel where the
// CPU's kernels need adjacent channels and these are not. first: the place of the call's first
// group.
template <typename Reduce>
hnorm_status for_channels(const SumsView &view, const Reduce &reduce) {
    const auto dense = [](const View &v) { return v.g0.extent == 1 || v.g0.stride == v.r.extent; };
    if (view.planes != kLast || view.adjacent || (view.transposed && dense(view.x) && dense(view.dy))) {
        return reduce(view, 0);
    }
    SumsView channel = view;
    for (int64_t c = 0; c < view.x.g0.extent; ++c) {
        const Slice slice = {0, 1, c, c + 1};
        channel.x = cropped(view.x, slice);
        channel.dy = cropped(view.dy, slice);
        HNORM_TRY(reduce(channel, c));
    }
    return HNORM_OK;
}

}  // namespace hnorm::detail
