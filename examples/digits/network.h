// The networks: three times convolution, or twice a linear layer, with normalization and ReLU
// behind it; then a linear layer.
#pragma once

#include "data.h"
#include "layer.h"

#include <cstdint>
#include <memory>
#include <vector>

namespace digits {

enum class Kind { convolutional, plain };
enum class Norm { none, batch, instance, layer };

// "convolutional" and "plain"; "no", "batch", "instance" and "layer".
const char *kind_name(Kind kind);
const char *norm_name(Norm norm);

// (N, 1, 8, 8) to (N, 10, 1, 1): logits.
class Network {
public:
    // track: batch norm keeps running statistics for evaluation. Without, it uses the batch's in
    // evaluation as well.
    Network(Kind kind, Norm norm, bool track, std::uint64_t seed);

    Array forward(Array images);
    void backward(Array logits_gradient);
    void train(bool training);
    const std::vector<Parameter> &parameters() { return parameters_; }
    void zero_gradients();
    // A program may put layers of its own around them (examples/sync). parameters() stay those of
    // the layers inside.
    std::vector<std::unique_ptr<Layer>> &layers() { return layers_; }

    // The fraction of the samples whose largest logit is their label's, computed in batches of
    // batch_size; samples that fill no batch are left out.
    double accuracy(const Data &data, int batch_size);

private:
    void add_convolution(Norm norm, bool track, int inputs, int outputs, int stride, Random &random);
    void add_linear(Norm norm, bool track, int inputs, int outputs, Random &random);

    std::vector<std::unique_ptr<Layer>> layers_;
    std::vector<Parameter> parameters_;
};

}  // namespace digits
