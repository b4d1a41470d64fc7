#include "chunk_by_chunk.h"

#include <algorithm>

namespace hnorm::detail {

ChunkByChunk::ChunkByChunk(const SumsView &view, const View &x) : along_s_(view.planes == kLast) {
    const bool one_plane = view.samples_are_positions && !view.transposed && !view.few_channels;
    // Kernels of channels-first planes take positions that are adjacent.
    const bool adjacent = view.x.s.stride == 1 && view.dy.s.stride == 1;
    if (x.groups() != 1 || !adjacent || (view.planes != kTiny && !one_plane)) {
        return;
    }
    const LaneChunks of = lane_chunks(view.planes, x.s.extent);
    if (!along_s_ && of.length * std::max(view.x.r.stride, view.dy.r.stride) > kMaxExtent) {
        return;  // Kernels take strides of 32 bits.
    }
    const int64_t extent = along_s_ ? x.s.extent : x.r.extent;
    length_ = of.length;
    full_ = extent / length_;
    rest_ = extent % length_;
    chunks_of_run_ = of.of_run;
}

View ChunkByChunk::full_chunks(View v) const {
    v.g0 = {full_, length_ * axis(v).stride};
    axis(v).extent = length_;
    return v;
}

View ChunkByChunk::last_chunk(View v) const {
    v.data += full_ * length_ * axis(v).stride * v.element_size();
    axis(v).extent = rest_;
    return v;
}

void ChunkByChunk::add_up(const Sums &of_chunks, const Sums &sums) const {
    double e = 0, q = 0;
    const int64_t chunks = full_ + static_cast<int64_t>(rest_ > 0);
    for (int64_t first = 0; first < chunks; first += chunks_of_run_) {
        double run_e = 0, run_q = 0;
        for (int64_t k = first; k < std::min(first + chunks_of_run_, chunks); ++k) {
            run_e += of_chunks.e[k];
            run_q += of_chunks.q[k];
        }
        e += run_e;
        q += run_q;
    }
    *sums.e = e;
    *sums.q = q;
    for (int i = 0; i < 2 && sums.greatest[i]; ++i) {
        *sums.greatest[i] = *std::max_element(of_chunks.greatest[i], of_chunks.greatest[i] + chunks);
    }
}

}  // namespace hnorm::detail
