#include "convolution.h"

#include "gemm.h"

#include <algorithm>
#include <cmath>

namespace digits {

constexpr int kFilter = 9;

Convolution::Convolution(int inputs, int outputs, int stride, bool bias, Random &random)
    : inputs_(inputs),
      outputs_(outputs),
      stride_(stride),
      weights_(std::size_t(outputs) * inputs * kFilter),
      weights_gradient_(weights_.size()),
      bias_(bias ? outputs : 0),
      bias_gradient_(bias_.size()) {
    std::normal_distribution<float> normal(0.0f, std::sqrt(2.0f / float(kFilter * inputs)));
    for (float &weight : weights_) weight = normal(random);
}

std::vector<Parameter> Convolution::parameters() {
    std::vector<Parameter> result{{weights_, weights_gradient_}};
    if (!bias_.empty()) result.push_back({bias_, bias_gradient_});
    return result;
}

// Calls visit(pixel's index or -1 in the border, column's index) for all of columns_.
template <typename Visit>
void Convolution::each_row(Visit visit) const {
    const int height = output_extent(x_.h), width = output_extent(x_.w);
    int column = 0;
    for (int channel = 0; channel < inputs_; ++channel)
        for (int filter = 0; filter < kFilter; ++filter)
            for (int i = 0; i < height; ++i)
                for (int j = 0; j < width; ++j, ++column) {
                    const int y = i * stride_ + filter / 3 - 1, x = j * stride_ + filter % 3 - 1;
                    const bool inside = y >= 0 && y < x_.h && x >= 0 && x < x_.w;
                    visit(inside ? (channel * x_.h + y) * x_.w + x : -1, column);
                }
}

void Convolution::gather(const float *image) {
    each_row([&](int pixel, int column) { columns_[column] = pixel < 0 ? 0.0f : image[pixel]; });
}

void Convolution::scatter(float *image) const {
    each_row([&](int pixel, int column) {
        if (pixel >= 0) image[pixel] += columns_[column];
    });
}

Array Convolution::forward(Array x) {
    x_ = std::move(x);
    Array y(x_.n, outputs_, output_extent(x_.h), output_extent(x_.w));
    const int positions = y.h * y.w, weights = inputs_ * kFilter;
    columns_.resize(std::size_t(weights) * positions);
    for (int n = 0; n < y.n; ++n) {
        for (std::size_t o = 0; o < bias_.size(); ++o) std::fill_n(y.sample(n) + o * positions, positions, bias_[o]);
        gather(x_.sample(n));
        add_product(outputs_, positions, weights, {weights_.data(), weights, 1}, {columns_.data(), positions, 1},
                    y.sample(n));
    }
    return y;
}

Array Convolution::backward(Array dy) {
    Array dx(x_.n, x_.c, x_.h, x_.w);
    const int positions = dy.h * dy.w, weights = inputs_ * kFilter;
    for (int n = 0; n < dy.n; ++n) {
        for (std::size_t o = 0; o < bias_.size(); ++o)
            for (int p = 0; p < positions; ++p) bias_gradient_[o] += dy.sample(n)[o * positions + p];
        gather(x_.sample(n));
        add_product(outputs_, weights, positions, {dy.sample(n), positions, 1}, {columns_.data(), 1, positions},
                    weights_gradient_.data());
        std::fill(columns_.begin(), columns_.end(), 0.0f);
        add_product(weights, positions, outputs_, {weights_.data(), 1, weights}, {dy.sample(n), positions, 1},
                    columns_.data());
        scatter(dx.sample(n));
    }
    return dx;
}

}  // namespace digits
