// hnorm's layers as layers of this network.
#pragma once

#include "layer.h"

#include <type_traits>

namespace digits {

// HnormLayer: hnorm::BatchNorm, BatchNorm1d, InstanceNorm or GroupNorm. Rank: of its tensors, 4 or,
// for (N, C), 2.
template <typename HnormLayer, int Rank = 4>
class Normalization : public Layer {
public:
    explicit Normalization(HnormLayer layer) : layer_(std::move(layer)) {}

    Array forward(Array x) override {
        x_ = std::move(x);
        Array y(x_.n, x_.c, x_.h, x_.w);
        layer_.forward(tensor(x_), tensor(y));
        return y;
    }

    Array backward(Array dy) override {
        layer_.backward(tensor(x_), tensor(dy), tensor(dy));
        return dy;
    }

    std::vector<Parameter> parameters() override {
        return {{layer_.gamma(), layer_.gamma_grad()}, {layer_.beta(), layer_.beta_grad()}};
    }

    void train(bool training) override { layer_.train(training); }

    hnorm::BatchNorm *batch_norm() override {
        if constexpr (std::is_base_of_v<hnorm::BatchNorm, HnormLayer>)
            return &layer_;
        else
            return nullptr;
    }

private:
    static hnorm::Tensor tensor(Array &array) {
        if constexpr (Rank == 2)
            return hnorm::channels_first(array.values.data(), {array.n, array.c});
        else
            return hnorm::nchw(array.values.data(), {array.n, array.c, array.h, array.w});
    }

    HnormLayer layer_;
    Array x_;
};

}  // namespace digits
