// The common part of the sums of forward and backward: the view of a tensor, and the order in which
// the parts of its groups are added (docs/order.md, "Chunks and runs").
#pragma once

#include <algorithm>

#include "compute.h"
#include "narrow.h"

namespace hnorm::detail {

// How many runs (a, b) a group has.
struct Runs {
    int64_t a, b;
};
Runs runs_of(PlaneClass planes, int64_t positions, int64_t samples);

// The groups of a tensor: channels of each sample, or channels of all samples. Arrays with one
// value a group are dense, and channels are adjacent in them.
struct Groups {
    int64_t samples, channels;
    Groups(const Planes &x, View view)
        : samples(view == View::kBatch ? 1 : x.n), channels(x.c), shared_(view == View::kBatch) {}
    int64_t count() const { return samples * channels; }
    // Between one sample's and the next's, 0 where samples share them; and the range's first.
    int64_t stride() const { return shared_ ? 0 : channels; }
    int64_t first(const Range &range) const { return range.first(stride()); }

private:
    bool shared_;
};

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

// What a kernel gives by run, and its sum: `sums`, of samples that lie stride_n apart.
class RunSums {
public:
    RunSums(const Planes &x, View view, PlaneClass planes, const Sums &sums, int64_t stride_n);
    hnorm_status reserve(const char *function);

    halide_buffer_t *e() { return e_; }
    halide_buffer_t *q() { return q_; }
    halide_buffer_t *greatest(int i) { return i == 0 ? first_ : second_; }

    // Adds the runs in their order.
    void add_up() const;

private:
    class RunBuffer : public Buffer<4> {
    public:
        RunBuffer(halide_type_t type, const Groups &groups, const Runs &runs, int64_t stride_n)
            : Buffer(nullptr, type,
                     {{groups.channels, 1},
                      {runs.a, groups.channels},
                      {runs.b, groups.channels * runs.a},
                      {groups.samples, groups.samples == 1 ? 0 : stride_n}}) {}
        void at(void *memory) { static_cast<halide_buffer_t *>(*this)->host = static_cast<uint8_t *>(memory); }
    };
    int64_t runs() const { return runs_.a * runs_.b; }
    int64_t size() const { return groups_.count() * runs(); }

    const Groups groups_;
    const Runs runs_;
    const Sums sums_;
    const int64_t stride_n_;
    RunBuffer e_, q_, first_, second_;
    Scratch memory_;
    const double *values_ = nullptr;
    const int32_t *bits_ = nullptr;
};

// Calls reduce(of, repeats, sums, stride_n) for each part of x that is summed by itself, and adds
// the results, part after part (docs/order.md, "Few channels"). of(tensor) is the piece of a tensor
// of x's shape that the call sums. repeats: how often the values of a channel are repeated side by
// side in that call. sums: the results, whose samples lie stride_n apart.
template <typename Reduce>
hnorm_status for_parts(const char *function, const Planes &x, View view, bool narrow, bool dense, const Sums &sums,
                       const Reduce &reduce) {
    const Groups groups(x, view);
    if (!narrow) {
        return reduce([](const Planes &p) { return p; }, 1, sums, groups.channels);
    }
    const int64_t parts = kNarrowParts + !narrow_remainder(x).empty(), stride_n = parts * x.c;
    const int64_t size = groups.samples * stride_n;
    Scratch memory;
    HNORM_TRY(memory.reserve(function, 3 * size));
    auto *const bits = reinterpret_cast<int32_t *>(memory.data() + 2 * size);
    const Sums of_parts = {memory.data(),
                           memory.data() + size,
                           {sums.greatest[0] ? bits : nullptr, sums.greatest[1] ? bits + size : nullptr}};
    for (int64_t i = 0; i < kNarrowParts && !dense; ++i) {
        HNORM_TRY(reduce([i](const Planes &p) { return narrow_part(p, i); }, 1, of_parts.from(i * x.c), stride_n));
    }
    if (dense) {
        HNORM_TRY(reduce(narrow_parts, kNarrowParts, of_parts, stride_n));
    }
    if (parts > kNarrowParts) {
        HNORM_TRY(reduce(narrow_remainder, 1, of_parts.from(kNarrowParts * x.c), stride_n));
    }
    for (int64_t n = 0, group = 0; n < groups.samples; ++n) {
        for (int64_t c = 0; c < x.c; ++c, ++group) {
            double e = 0, q = 0;
            int32_t greatest[2] = {0, 0};
            for (int64_t i = 0; i < parts; ++i) {
                const int64_t at = n * stride_n + i * x.c + c;
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

bool all_finite(const double *values, int64_t count);

// Groups to take again.
class Marks {
public:
    // None is marked then. They take memory of their own: groups are rarely taken again.
    hnorm_status clear(const char *function, int64_t groups) {
        if (marks_ == nullptr) {
            HNORM_TRY(memory_.reserve(function, groups));
            marks_ = memory_.data();
        }
        std::fill_n(marks_, groups, 0);
        any_ = false;
        return HNORM_OK;
    }
    void mark(int64_t group) {
        marks_[group] = 1;
        any_ = true;
    }
    bool any() const { return any_; }
    bool is_marked(int64_t group) const { return marks_[group] != 0; }

private:
    ScratchOf<int32_t> memory_;
    int32_t *marks_ = nullptr;
    bool any_ = false;
};

// Calls visit(range) for ranges that together hold all marked groups. A range may include
// neighbours, and has all channels if these are few. It is a range of one sample, or of all samples
// in batch norm.
template <typename Visit>
hnorm_status for_marked(const Planes &x, View view, const Marks &marks, bool narrow, const Visit &visit) {
    constexpr int64_t kNear = 16;  // unmarked channels between marked ones that are taken along: a vector or two
    const Groups groups(x, view);
    for (int64_t n = 0; n < groups.samples && marks.any(); ++n) {
        const auto is_marked = [&](int64_t c) { return marks.is_marked(n * x.c + c); };
        for (int64_t c = 0; c < x.c; ++c) {
            if (!is_marked(c)) {
                continue;
            }
            int64_t begin = c, end = c + 1;
            for (; c < x.c && c < end + kNear; ++c) {
                end = is_marked(c) ? c + 1 : end;
            }
            if (narrow) {
                begin = 0;
                end = x.c;
            }
            c = end;
            HNORM_TRY(visit(view == View::kBatch ? Range{0, x.n, begin, end} : Range{n, n + 1, begin, end}));
        }
    }
    return HNORM_OK;
}

// The places of a sample's rows (docs/order.md, "The sample"): the plane and the first position of each.
class SamplePlaces {
public:
    SamplePlaces(PlaneClass planes, int64_t positions, int64_t samples);
    halide_buffer_t *buffer() { return buffer_; }
    // Prefetches the rows of all groups together, for large planes. Otherwise the sample waits for
    // memory row by row. That took a fifth of the time of instance norm out of cache.
    void prefetch(const Planes &x, View view) const;

private:
    static constexpr int32_t kMost = 48;
    int32_t places_[kMost][2];
    int32_t count_;
    Buffer<2> buffer_;
};

// Magnitudes' bits, and scales (docs/order.md, "Scales").
inline int32_t magnitude(float value) {
    int32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits & 0x7fffffff;
}
inline float as_float(int32_t bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}
inline bool is_ordinary(int32_t greatest) { return magnitude(0x1p-40f) <= greatest && greatest <= magnitude(0x1p40f); }
inline bool is_finite(int32_t magnitude) { return magnitude < 0x7f800000; }
inline int exponent(int32_t magnitude) { return (magnitude >> 23) - 127; }
// 2^-k
inline float power_of_two(int k) { return as_float((127 - k) << 23); }
inline float scale_of_exponent(int e) { return power_of_two(std::clamp(e, -100, 74)); }
inline float scale_of(int32_t magnitude) { return magnitude == 0 ? 1 : scale_of_exponent(exponent(magnitude)); }

}  // namespace hnorm::detail
