// What every layer of the network is.
#pragma once

#include "array.h"

#include <hnorm/hnorm.hpp>

#include <memory>
#include <random>
#include <vector>

namespace digits {

using Random = std::mt19937_64;

// Values that training changes, and the gradient of the loss with respect to them.
struct Parameter {
    hnorm::Span<float> value;
    hnorm::Span<float> gradient;
};

class Layer {
public:
    virtual ~Layer() = default;
    // Keeps x for backward.
    virtual Array forward(Array x) = 0;
    // From the gradient with respect to the latest forward's result, that with respect to its x;
    // adds to the parameters' gradients.
    virtual Array backward(Array dy) = 0;
    virtual std::vector<Parameter> parameters() { return {}; }
    virtual void train(bool) {}
    // hnorm's layer, where this is a batch norm.
    virtual hnorm::BatchNorm *batch_norm() { return nullptr; }
};

}  // namespace digits
