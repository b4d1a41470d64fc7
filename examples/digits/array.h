// What the layers pass to each other: values of shape (N, C, H, W), dense, W innermost.
#pragma once

#include <cstddef>
#include <vector>

namespace digits {

struct Array {
    int n = 0, c = 0, h = 0, w = 0;
    std::vector<float> values;

    Array() = default;
    Array(int n, int c, int h, int w) : n(n), c(c), h(h), w(w), values(std::size_t(n) * c * h * w) {}

    std::size_t sample_size() const { return std::size_t(c) * h * w; }
    float *sample(int i) { return values.data() + i * sample_size(); }
    const float *sample(int i) const { return values.data() + i * sample_size(); }
};

}  // namespace digits
