// The common part of the sums of forward and backward: the view of a tensor, and the order in which
// the parts of its groups are added (docs/order.md, "Chunks and runs").
#pragma once

#include <algorithm>

#include "buffers.h"
#include "call.h"
#include "error.h"
#include "scratch.h"

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
