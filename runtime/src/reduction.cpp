#include "reduction.h"

namespace hnorm::detail {

namespace {

constexpr int64_t kChunksPerRun = 8, kPlanesPerChunk = 8, kPlanesPerRun = 32;
constexpr int64_t kLanes[] = {1, 16, 64, 1}, kRows[] = {32, 32, 16, 32};  // by class; rows of a chunk

int64_t power_below(int64_t value) {
    int64_t power = 1;
    while (power <= value / 2) {
        power *= 2;
    }
    return power;
}

}  // namespace

ChunkPlanes chunk_planes(PlaneClass planes, int64_t positions) {
    const int64_t rows = (positions + kLanes[planes] - 1) / kLanes[planes];
    const int64_t together = std::min(power_below(std::max<int64_t>(kRows[planes] / rows, 1)), kPlanesPerChunk);
    const int64_t of_plane = (rows + kRows[planes] - 1) / kRows[planes];
    return {together, of_plane,
            std::min(power_below(std::max<int64_t>(kChunksPerRun / of_plane, 1)), kPlanesPerRun / together)};
}

LaneChunks lane_chunks(PlaneClass planes, int64_t positions) {
    const ChunkPlanes of = chunk_planes(planes, positions);
    return planes == kTiny ? LaneChunks{of.chunk, of.chunks_of_run} : LaneChunks{kRows[kLast], kChunksPerRun};
}

Runs runs_of(PlaneClass planes, int64_t positions, int64_t samples) {
    const ChunkPlanes of = chunk_planes(planes, positions);
    const int64_t of_planes = (samples + of.chunk - 1) / of.chunk;
    return {(of.chunks_of_plane + kChunksPerRun - 1) / kChunksPerRun,
            (of_planes + of.chunks_of_run - 1) / of.chunks_of_run};
}

RunSums::RunSums(const View &x, PlaneClass planes, const Sums &sums, int64_t stride_n, int64_t together)
    : x_(x),
      together_(together),
      runs_(runs_of(planes, x.s.extent, x.r.extent)),
      sums_(sums),
      stride_n_(stride_n),
      e_(halide_type_of<double>(), x, runs_, runs() == 1 ? stride_n : x.g0.extent * runs()),
      q_(halide_type_of<double>(), x, runs_, runs() == 1 ? stride_n : x.g0.extent * runs()),
      first_(halide_type_of<int32_t>(), x, runs_, runs() == 1 ? stride_n : x.g0.extent * runs()),
      second_(halide_type_of<int32_t>(), x, runs_, runs() == 1 ? stride_n : x.g0.extent * runs()) {}

hnorm_status RunSums::reserve(const char *function) {
    if (in_place()) {  // its own sum
        e_.at(sums_.e);
        q_.at(sums_.q);
        first_.at(sums_.greatest[0]);
        second_.at(sums_.greatest[1]);
        return HNORM_OK;
    }
    HNORM_TRY(memory_.reserve(function, 3 * size()));
    double *const values = memory_.data();
    auto *const bits = reinterpret_cast<int32_t *>(values + 2 * size());
    e_.at(values);
    q_.at(values + size());
    first_.at(bits);
    second_.at(bits + size());
    values_ = values;
    bits_ = bits;
    return HNORM_OK;
}

// The planes of a group in their order, and in each plane its runs.
void RunSums::add_up_together() const {
    const int64_t width = x_.g0.extent;
    for (int64_t g = 0; g < width / together_; ++g) {
        double e = 0, q = 0;
        int32_t greatest[2] = {0, 0};
        for (int64_t i = g * together_; i < (g + 1) * together_; ++i) {
            for (int64_t j = 0; j < runs(); ++j) {
                e += values_[j * width + i];
                q += values_[size() + j * width + i];
                for (int k = 0; k < 2 && sums_.greatest[k]; ++k) {
                    greatest[k] = std::max(greatest[k], bits_[k * size() + j * width + i]);
                }
            }
        }
        sums_.e[g] = e;
        sums_.q[g] = q;
        for (int k = 0; k < 2 && sums_.greatest[k]; ++k) {
            sums_.greatest[k][g] = greatest[k];
        }
    }
}

void RunSums::add_up() const {
    if (in_place()) {
        return;
    }
    if (together_ > 1) {
        add_up_together();
        return;
    }
    const int64_t c = x_.g0.extent;
    for (int64_t n = 0; n < x_.g1.extent; ++n) {
        const Sums to = sums_.from(n * stride_n_);
        std::fill_n(to.e, c, 0.0);
        std::fill_n(to.q, c, 0.0);
        for (int32_t *greatest : to.greatest) {
            if (greatest) {
                std::fill_n(greatest, c, 0);
            }
        }
        for (int64_t j = 0; j < runs(); ++j) {
            const int64_t from = (n * runs() + j) * c;
            for (int64_t i = 0; i < c; ++i) {
                to.e[i] += values_[from + i];
            }
            for (int64_t i = 0; i < c; ++i) {
                to.q[i] += values_[size() + from + i];
            }
            for (int k = 0; k < 2 && to.greatest[k]; ++k) {
                for (int64_t i = 0; i < c; ++i) {
                    to.greatest[k][i] = std::max(to.greatest[k][i], bits_[k * size() + from + i]);
                }
            }
        }
    }
}

}  // namespace hnorm::detail
