// The layers that are neither convolution nor normalization, and the loss.
#pragma once

#include "layer.h"

namespace digits {

class Relu : public Layer {
public:
    Array forward(Array x) override;
    Array backward(Array dy) override;

private:
    Array y_;
};

// All of a sample's values to `outputs` values, (N, outputs, 1, 1), with a bias. Weights start
// normal, variance gain/inputs.
class Linear : public Layer {
public:
    Linear(int inputs, int outputs, Random &random, float gain = 1.0f);

    Array forward(Array x) override;
    Array backward(Array dy) override;
    std::vector<Parameter> parameters() override;

private:
    int inputs_, outputs_;
    std::vector<float> weights_, weights_gradient_;  // (inputs, outputs)
    std::vector<float> bias_, bias_gradient_;
    Array x_;
};

// The mean over the samples of -log softmax(logits)[label], natural logarithm; gradient receives
// its derivatives.
double cross_entropy(const Array &logits, const std::vector<int> &labels, Array &gradient);

}  // namespace digits
