// The places of a probe's rows (docs/order.md, "The probe").
#pragma once

#include <utility>

#include "buffers.h"

namespace hnorm::detail {

// The plane and the first position of each row.
class ProbePlaces {
public:
    static constexpr int32_t kMost = 48;

    explicit ProbePlaces(const SumsView &view);
    // The class of the kernel that probes, and how it sees a tensor of the view: transposed planes
    // are not transposed for it.
    PlaneClass planes() const { return planes_; }
    View seen(View view) const {
        if (transposed_) {
            std::swap(view.s, view.r);
        }
        return view;
    }
    halide_buffer_t *buffer() { return buffer_; }
    // The rows, each of some neighbours, in the view's own coordinates.
    int32_t count() const { return count_; }
    int64_t neighbours() const { return width_; }
    int64_t plane(int32_t i) const { return places_[i][transposed_ ? 1 : 0]; }
    int64_t position(int32_t i) const { return places_[i][transposed_ ? 0 : 1]; }
    // Prefetches the rows of all groups together, for large planes. Otherwise the probe waits for
    // memory row by row. That took a fifth of the time of instance norm out of cache.
    void prefetch(const View &x) const;

private:
    int32_t places_[kMost][2];
    const bool transposed_;
    const PlaneClass planes_;
    const int64_t width_;
    const int32_t count_;
    Buffer<2> buffer_;
};

}  // namespace hnorm::detail
