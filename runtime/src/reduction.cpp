#include "reduction.h"

namespace hnorm::detail {

namespace {

int64_t power_below(int64_t value) {
    int64_t power = 1;
    while (power <= value / 2) {
        power *= 2;
    }
    return power;
}

}  // namespace

Runs runs_of(PlaneClass planes, int64_t positions, int64_t samples) {
    constexpr int64_t kLanes[] = {1, 16, 64, 1}, kRows[] = {32, 32, 16, 32};
    constexpr int64_t kChunksPerRun = 8, kPlanesPerChunk = 8, kPlanesPerRun = 32;
    const int64_t rows = (positions + kLanes[planes] - 1) / kLanes[planes];
    const int64_t together = std::min(power_below(std::max<int64_t>(kRows[planes] / rows, 1)), kPlanesPerChunk);
    const int64_t of_plane = (rows + kRows[planes] - 1) / kRows[planes];
    const int64_t of_planes = (samples + together - 1) / together;
    const int64_t per_run =
        std::min(power_below(std::max<int64_t>(kChunksPerRun / of_plane, 1)), kPlanesPerRun / together);
    return {(of_plane + kChunksPerRun - 1) / kChunksPerRun, (of_planes + per_run - 1) / per_run};
}

RunSums::RunSums(const char *function, const Planes &x, View view, PlaneClass planes, int greatest)
    : function_(function),
      groups_(x, view),
      runs_(runs_of(planes, x.s, view == View::kBatch ? x.n : 1)),
      greatest_count_(greatest),
      e_(halide_type_of<double>(), groups_, runs_),
      q_(halide_type_of<double>(), groups_, runs_),
      first_(halide_type_of<int32_t>(), groups_, runs_),
      second_(halide_type_of<int32_t>(), groups_, runs_) {}

hnorm_status RunSums::reserve() {
    HNORM_TRY(memory_.reserve(function_, 3 * size()));
    values_ = memory_.data();
    bits_ = reinterpret_cast<int32_t *>(values_ + 2 * size());
    e_.at(values_);
    q_.at(values_ + size());
    first_.at(bits_);
    second_.at(bits_ + size());
    return HNORM_OK;
}

void RunSums::add_up(const Sums &sums, int64_t stride_n) const {
    const int64_t c = groups_.channels, runs = runs_.a * runs_.b;
    for (int64_t n = 0; n < groups_.samples; ++n) {
        const Sums to = sums.from(n * stride_n);
        std::fill_n(to.e, c, 0.0);
        std::fill_n(to.q, c, 0.0);
        for (int k = 0; k < greatest_count_; ++k) {
            std::fill_n(to.greatest[k], c, 0);
        }
        for (int64_t j = 0; j < runs; ++j) {
            const int64_t from = (n * runs + j) * c;
            for (int64_t i = 0; i < c; ++i) {
                to.e[i] += values_[from + i];
            }
            for (int64_t i = 0; i < c; ++i) {
                to.q[i] += values_[size() + from + i];
            }
            for (int k = 0; k < greatest_count_; ++k) {
                for (int64_t i = 0; i < c; ++i) {
                    to.greatest[k][i] = std::max(to.greatest[k][i], bits_[k * size() + from + i]);
                }
            }
        }
    }
}

}  // namespace hnorm::detail
