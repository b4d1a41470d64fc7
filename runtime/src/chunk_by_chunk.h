// Sums of one channel whose planes have one lane: tiny planes, and samples of one position. In the
// kernels a lane of a vector is a group, so one channel would fill one lane. Here a lane is a
// chunk: each chunk is seen as a group of its own, and their sums are added as docs/order.md says.
#pragma once

#include "reduction.h"

namespace hnorm::detail {

class ChunkByChunk {
public:
    // x: those groups of the view that are wanted.
    ChunkByChunk(const SumsView &view, const View &x);

    // Whether this is such a view, of enough chunks.
    bool applies() const { return full_ >= kLeastChunks; }
    // How many chunks are seen side by side. They share the channel's values.
    int64_t side_by_side() const { return full_; }
    // Computes the sums of the channel. reduce(of, sums) sums the groups of the view of(tensor),
    // which are side by side and have tiny planes.
    template <typename Reduce>
    hnorm_status compute(const char *function, const Sums &sums, const Reduce &reduce) const {
        PartSums memory;
        HNORM_TRY(memory.reserve(function, sums, full_ + 1));
        const Sums &of_chunks = memory.sums;
        HNORM_TRY(reduce([this](const View &v) { return full_chunks(v); }, of_chunks));
        if (rest_ > 0) {
            HNORM_TRY(reduce([this](const View &v) { return last_chunk(v); }, of_chunks.from(full_)));
        }
        add_up(of_chunks, sums);
        return HNORM_OK;
    }

private:
    // Of fewer chunks a vector has few lanes.
    static constexpr int64_t kLeastChunks = 4;

    Axis &axis(View &v) const { return along_s_ ? v.s : v.r; }
    View full_chunks(View v) const;
    View last_chunk(View v) const;
    void add_up(const Sums &of_chunks, const Sums &sums) const;

    bool along_s_;  // Chunks follow each other along s, or else along r.
    // A chunk has `length_` positions or planes. There are `full_` whole chunks, and one of `rest_`
    // if that is not 0.
    int64_t length_ = 1, full_ = 0, rest_ = 0, chunks_of_run_ = 1;
};

}  // namespace hnorm::detail
