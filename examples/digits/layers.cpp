#include "layers.h"

#include "gemm.h"

#include <algorithm>
#include <cmath>

namespace digits {

Array Relu::forward(Array x) {
    // A NaN stays one, so that a network that diverges shows it.
    for (float &value : x.values) value = value < 0.0f ? 0.0f : value;
    y_ = x;
    return x;
}

Array Relu::backward(Array dy) {
    for (std::size_t i = 0; i < dy.values.size(); ++i)
        if (!(y_.values[i] > 0.0f)) dy.values[i] = 0.0f;
    return dy;
}

Linear::Linear(int inputs, int outputs, Random &random, float gain)
    : inputs_(inputs),
      outputs_(outputs),
      weights_(std::size_t(inputs) * outputs),
      weights_gradient_(weights_.size()),
      bias_(outputs),
      bias_gradient_(outputs) {
    std::normal_distribution<float> normal(0.0f, std::sqrt(gain / float(inputs)));
    for (float &weight : weights_) weight = normal(random);
}

std::vector<Parameter> Linear::parameters() { return {{weights_, weights_gradient_}, {bias_, bias_gradient_}}; }

Array Linear::forward(Array x) {
    x_ = std::move(x);
    Array y(x_.n, outputs_, 1, 1);
    for (int n = 0; n < y.n; ++n) std::copy(bias_.begin(), bias_.end(), y.sample(n));
    add_product(x_.n, outputs_, inputs_, {x_.values.data(), inputs_, 1}, {weights_.data(), outputs_, 1},
                y.values.data());
    return y;
}

Array Linear::backward(Array dy) {
    Array dx(x_.n, x_.c, x_.h, x_.w);
    add_product(dy.n, inputs_, outputs_, {dy.values.data(), outputs_, 1}, {weights_.data(), 1, outputs_},
                dx.values.data());
    add_product(inputs_, outputs_, dy.n, {x_.values.data(), 1, inputs_}, {dy.values.data(), outputs_, 1},
                weights_gradient_.data());
    for (int n = 0; n < dy.n; ++n)
        for (int o = 0; o < outputs_; ++o) bias_gradient_[o] += dy.sample(n)[o];
    return dx;
}

double cross_entropy(const Array &logits, const std::vector<int> &labels, Array &gradient) {
    gradient = Array(logits.n, logits.c, 1, 1);
    double loss = 0.0;
    for (int n = 0; n < logits.n; ++n) {
        const float *z = logits.sample(n);
        const double largest = *std::max_element(z, z + logits.c);
        double sum = 0.0;
        for (int c = 0; c < logits.c; ++c) sum += std::exp(z[c] - largest);
        loss += largest + std::log(sum) - z[labels[n]];
        for (int c = 0; c < logits.c; ++c) {
            const double probability = std::exp(z[c] - largest) / sum;
            gradient.sample(n)[c] = float((probability - (c == labels[n])) / logits.n);
        }
    }
    return loss / logits.n;
}

}  // namespace digits
