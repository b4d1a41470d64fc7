#include "probe_places.h"

#include <algorithm>

namespace hnorm::detail {

namespace {

// How many rows of neighbours a group of so many has in its probe.
int32_t rows_probed(int64_t total) {
    constexpr int64_t kMost = ProbePlaces::kMost;
    return static_cast<int32_t>((kMost * total + total + kMost - 1) / (total + kMost));
}
int64_t neighbours_of(PlaneClass planes) { return planes == kSmall || planes == kLarge ? 4 : 1; }

}  // namespace

ProbePlaces::ProbePlaces(const SumsView &view)
    : transposed_(view.transposed),
      planes_(transposed_ ? kTiny : view.planes),
      width_(neighbours_of(planes_)),
      count_(rows_probed(view.x.r.extent * (view.x.s.extent / width_))),
      buffer_(places_, halide_type_of<int32_t>(), {{2, 1}, {count_, 2}}) {
    // The divisions take as long as a small block's sums, and the next block has the same.
    struct Latest {
        int64_t neighbours, positions, samples;
        int32_t places[kMost][2];
    };
    static thread_local Latest latest = {};
    const int64_t positions = view.x.s.extent, samples = view.x.r.extent;
    const int64_t of_plane = positions / width_, total = samples * of_plane;
    if (latest.neighbours != width_ || latest.positions != positions || latest.samples != samples) {
        for (int32_t i = 0; i < count_; ++i) {
            const uint32_t u = static_cast<uint32_t>(i) * 2654435769u, h = ((u ^ (u >> 15)) * 2246822519u) >> 16;
            const int64_t row = (i * total + h * total / 65536) / count_, plane = row < of_plane ? 0 : row / of_plane;
            latest.places[i][0] = static_cast<int32_t>(plane);
            latest.places[i][1] = static_cast<int32_t>(width_ * (row - plane * of_plane));
        }
        latest.neighbours = width_;
        latest.positions = positions;
        latest.samples = samples;
    }
    std::copy_n(&latest.places[0][0], 2 * count_, &places_[0][0]);
    for (int32_t i = 0; i < count_ && transposed_; ++i) {
        std::swap(places_[i][0], places_[i][1]);
    }
}

void ProbePlaces::prefetch(const View &x) const {
    if (planes_ != kLarge) {
        return;
    }
    for (int64_t n = 0; n < x.g1.extent; ++n) {
        for (int64_t c = 0; c < x.g0.extent; ++c) {
            for (int32_t i = 0; i < count_; ++i) {
                __builtin_prefetch(x.at(places_[i][1], places_[i][0], c, n));
            }
        }
    }
}

}  // namespace hnorm::detail
