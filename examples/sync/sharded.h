// A layer whose gradients are summed by shards of the batch, so that processes can add them in an
// order that does not depend on how many they are.
#pragma once

#include "layer.h"

#include <memory>

namespace sync_example {

// The samples begin to begin + count - 1.
digits::Array samples(const digits::Array &array, int begin, int count);

class Sharded : public digits::Layer {
public:
    // `shard`: samples. A batch of other sizes has a last shard of what is left.
    Sharded(std::unique_ptr<digits::Layer> layer, int shard) : layer_(std::move(layer)), shard_(shard) {}

    digits::Array forward(digits::Array x) override;
    // The parameters' gradients are those of the last shard afterwards.
    digits::Array backward(digits::Array dy) override;
    std::vector<digits::Parameter> parameters() override { return layer_->parameters(); }

    // Of the latest backward: for each shard the gradients of all parameters, one after the other.
    const std::vector<float> &gradients() const { return gradients_; }

private:
    std::unique_ptr<digits::Layer> layer_;
    const int shard_;
    digits::Array x_;
    std::vector<float> gradients_;
};

}  // namespace sync_example
