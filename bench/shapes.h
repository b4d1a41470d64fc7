// The shapes that hnorm is measured at: planes of convolutional networks from large to small, and the extremes.
#pragma once

#include <cstdint>
#include <string>

namespace hnorm::bench {

struct Shape {
    int64_t n, c, h, w;

    int64_t elements() const { return n * c * h * w; }
    std::string name() const {
        return std::to_string(n) + 'x' + std::to_string(c) + 'x' + std::to_string(h) + 'x' + std::to_string(w);
    }
};

// The shapes of the table in docs/benchmarks.md.
inline constexpr Shape kTableShapes[] = {
    {32, 64, 112, 112}, {32, 256, 56, 56}, {1, 32, 256, 256},
    {1, 64, 128, 128},  {64, 3, 224, 224}, {1, 3, 1024, 1024},  // few groups: the threads have to share one
    {32, 1024, 14, 14}, {32, 2048, 7, 7},                       // small planes: the work for each group shows
};

inline constexpr Shape kFurtherShapes[] = {
    {32, 128, 28, 28},
    {1024, 1024, 1, 1},  // (N, C)
    {1, 16, 8, 8},       // what a call costs
};

}  // namespace hnorm::bench
