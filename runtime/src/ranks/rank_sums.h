// The sums of a batch whose samples lie on several ranks, in the order of one process
// (docs/order.md, "Ranks").
#pragma once

#include <algorithm>

#include "../cpu.h"
#include "../reduction.h"
#include "exchange.h"

namespace hnorm::detail {

// How values of channels are repeated for the groups of a stream.
enum class Repeat { kNone, kParts, kPositions };

// A part of a view that is summed by itself. Its groups are those of the view, repeated.
struct Stream {
    View x, dy;
    PlaneClass planes;
    Repeat repeat;
    bool samples_are_positions;
    // Of few channels whose positions are samples: a part has every 32nd sample, and the rest the
    // last ones.
    bool is_part = false, is_rest = false;

    View of_samples(View view, int64_t begin, int64_t end) const {
        Axis &axis = samples_are_positions ? view.s : view.r;
        view.data += begin * axis.stride * view.element_size();
        axis.extent = end - begin;
        return view;
    }
    // Where chunks and runs end, in samples.
    struct Borders {
        int64_t chunk, run;
    };
    Borders borders() const;
    // Runs of so many samples; and those of one plane, which has one unless samples are its
    // positions.
    int64_t runs_of_plane() const { return samples_are_positions ? 1 : runs_of(planes, x.s.extent, 1).a; }
    int64_t runs(int64_t samples) const {
        if (samples == 0) {
            return 0;
        }
        const Runs runs = samples_are_positions ? runs_of(planes, samples, 1) : runs_of(planes, x.s.extent, samples);
        return runs.a * runs.b;
    }
};

// Values of the channels of a view, for the groups of its stream.
inline hnorm_status repeat(const char *function, const View &view, const Stream &stream, const float *values,
                           RepeatedFloats *repeated) {
    repeated->data = values;
    return stream.repeat == Repeat::kNone        ? HNORM_OK
           : stream.repeat == Repeat::kPositions ? repeated->repeat_positions(function, view, values)
                                                 : repeated->repeat(function, view, values, 0);
}

// The batch of a call: what one process would see, and what this rank has of it.
class RankedView {
public:
    // x and dy are those of this rank, after exchange.agree(). dy may be null.
    RankedView(const Exchange &exchange, const CheckedTensor &x, const CheckedTensor *dy);

    const SumsView &all() const { return all_; }
    const SumsView &mine() const { return mine_; }
    // Whether a single process adds the same: all ranks begin at a chunk's border.
    bool is_exact() const { return exact_; }
    // The samples of a stream that a rank has, and the first of them.
    int64_t samples(const Stream &stream, int rank) const;
    int64_t start(const Stream &stream, int rank) const;
    // The samples of a rank before its first run's border: their chunks are sent one by one.
    int64_t head(const Stream &stream, int rank) const;
    int64_t addends(const Stream &stream, int rank) const;
    // The number of the run that an addend is a part of, in the batch. It is right if is_exact().
    int64_t run_of(const Stream &stream, int rank, int64_t addend) const;
    // Calls visit(stream) for the streams of a view of this kind, in the order of their sums.
    template <typename Visit>
    hnorm_status for_streams(const SumsView &view, const Visit &visit) const;

private:
    bool is_exact_split() const;

    const Exchange &exchange_;
    SumsView all_, mine_;
    bool parted_ = true;  // whether few channels are summed in parts
    bool exact_ = true;
};

template <typename Visit>
hnorm_status RankedView::for_streams(const SumsView &view, const Visit &visit) const {
    const bool positions = view.samples_are_positions;
    if (view.transposed) {
        return visit(
            Stream{positions_as_channels(view.x), positions_as_channels(view.dy), kLast, Repeat::kPositions, true});
    }
    if (!view.few_channels || !parted_) {
        return visit(Stream{view.x, view.dy, view.planes, Repeat::kNone, positions});
    }
    HNORM_TRY(visit(
        Stream{few_channels_parts(view.x), few_channels_parts(view.dy), kLast, Repeat::kParts, positions, positions}));
    const View rest = few_channels_remainder(view.x);
    return rest.s.extent == 0 ? HNORM_OK
                              : visit(Stream{rest, few_channels_remainder(view.dy), kLast, Repeat::kNone, positions,
                                             false, positions});
}

// Adds up what all ranks have summed.
class RankSums {
public:
    // magnitudes: how many greatest magnitudes each sum has.
    RankSums(const Cpu &on, Exchange &exchange, const RankedView &view, int magnitudes)
        : on_(on), exchange_(exchange), view_(view), magnitudes_(magnitudes) {}

    // Calls sum(view, first, stream, x, dy, runs) for pieces of this rank's samples. It computes
    // the runs of x and dy, which are a piece of the stream of the view. The view is that of the
    // channels from `first` of the slice on. Then all ranks tell each other what they have, and the
    // sums of all are added. Fails on all ranks if `status` or sum() is a failure on one. of_rank:
    // receives this rank's own sums, if it is not null.
    template <typename Sum>
    hnorm_status compute(hnorm_status status, const Slice &slice, const Sums &sums, const Sums *of_rank,
                         const Sum &sum);

private:
    // Of one addend of so many groups.
    int64_t values_of(int64_t groups) const { return groups * (2 + magnitudes_); }
    int64_t message(const SumsView &all, int rank) const;
    int64_t most_addends(const SumsView &all) const;
    // goes_on: memory for most_addends().
    void add_up(const SumsView &all, const Sums &sums, int first_rank, int last_rank, char *goes_on) const;
    template <typename Sum>
    hnorm_status sum_mine(const SumsView &mine, const Sum &sum);
    template <typename Sum>
    hnorm_status sum_stream(const Stream &stream, int64_t groups, double *at, const Sum &sum);

    const Cpu &on_;
    Exchange &exchange_;
    const RankedView &view_;
    const int magnitudes_;
};

template <typename Sum>
hnorm_status RankSums::compute(hnorm_status status, const Slice &slice, const Sums &sums, const Sums *of_rank,
                               const Sum &sum) {
    SumsView all = view_.all(), mine = view_.mine();
    for (SumsView *view : {&all, &mine}) {
        view->x = cropped(view->x, slice);
        view->dy = cropped(view->dy, slice);
    }
    int64_t values = 0;
    for (int r = 0; r < exchange_.ranks(); ++r) {
        values = std::max(values, message(all, r));
    }
    HNORM_TRY(exchange_.reserve_round(on_.function, values));
    ScratchOf<char> goes_on;  // before the round, so that its failure is told
    if (status == HNORM_OK) {
        status = goes_on.reserve(on_.function, most_addends(all));
    }
    if (status == HNORM_OK) {
        status = sum_mine(mine, sum);
    }
    HNORM_TRY(exchange_.gather(on_.function, status));
    add_up(all, sums, 0, exchange_.ranks() - 1, goes_on.data());
    if (of_rank) {
        add_up(all, *of_rank, exchange_.rank(), exchange_.rank(), goes_on.data());
    }
    return HNORM_OK;
}

template <typename Sum>
hnorm_status RankSums::sum_mine(const SumsView &mine, const Sum &sum) {
    if (exchange_.samples(exchange_.rank()) == 0) {
        return HNORM_OK;
    }
    return for_channels(mine, [&](const SumsView &view, int64_t first) {
        double *to = exchange_.mine();
        return view_.for_streams(view, [&](const Stream &stream) {
            const int64_t repeats = stream.x.groups() / view.x.g0.extent, groups = repeats * mine.x.g0.extent;
            // Positions of a channel are neighbours in an addend, and parts of all channels follow
            // each other.
            double *const record = to + first * (stream.repeat == Repeat::kPositions ? repeats : 1);
            const auto sum_part = [&](const Stream &part, double *at) {
                return sum_stream(part, groups, at, [&](const View &x, const View &dy, RunSums &runs) {
                    return sum(view, first, part, x, dy, runs);
                });
            };
            if (stream.repeat != Repeat::kParts || view.dense) {
                HNORM_TRY(sum_part(stream, record));
            }
            for (int64_t i = 0; i < repeats && stream.repeat == Repeat::kParts && !view.dense; ++i) {
                Stream part = stream;
                part.x = few_channels_part(view.x, i);
                part.dy = few_channels_part(view.dy, i);
                part.repeat = Repeat::kNone;
                HNORM_TRY(sum_part(part, record + i * mine.x.g0.extent));
            }
            to += view_.addends(stream, exchange_.rank()) * values_of(groups);
            return HNORM_OK;
        });
    });
}

// groups: of an addend of the message. at: where the first one's sums of this stream's groups go.
template <typename Sum>
hnorm_status RankSums::sum_stream(const Stream &stream, int64_t groups, double *at, const Sum &sum) {
    const int rank = exchange_.rank();
    // Of the samples [begin, end): one chunk, or whole runs.
    const auto piece = [&](int64_t begin, int64_t end) {
        const View x = stream.of_samples(stream.x, begin, end), dy = stream.of_samples(stream.dy, begin, end);
        Scratch memory;
        ScratchOf<int32_t> bits;
        HNORM_TRY(memory.reserve(on_.function, 2 * x.groups()));
        HNORM_TRY(bits.reserve(on_.function, 2 * x.groups()));
        const Sums sums = {
            memory.data(),
            memory.data() + x.groups(),
            {magnitudes_ > 0 ? bits.data() : nullptr, magnitudes_ > 1 ? bits.data() + x.groups() : nullptr}};
        RunSums runs(x, stream.planes, sums, x.groups());
        HNORM_TRY(runs.reserve(on_.function));
        HNORM_TRY(sum(x, dy, runs));
        runs.for_each([&](const double *e, const double *q, const int32_t *const *greatest) {
            std::copy_n(e, x.groups(), at);
            std::copy_n(q, x.groups(), at + groups);
            for (int k = 0; k < magnitudes_; ++k) {
                std::copy_n(greatest[k], x.groups(), at + (2 + k) * groups);
            }
            at += values_of(groups);
        });
        return HNORM_OK;
    };
    const int64_t samples = view_.samples(stream, rank), head = view_.head(stream, rank);
    const int64_t chunk = stream.borders().chunk;
    for (int64_t begin = 0; begin < head; begin += chunk) {
        HNORM_TRY(piece(begin, std::min(begin + chunk, head)));
    }
    return head < samples ? piece(head, samples) : HNORM_OK;
}

}  // namespace hnorm::detail
