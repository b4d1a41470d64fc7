#include "network.h"

#include "convolution.h"
#include "layers.h"
#include "normalization.h"

#include <algorithm>
#include <numeric>

namespace digits {

const char *kind_name(Kind kind) { return kind == Kind::plain ? "plain" : "convolutional"; }

const char *norm_name(Norm norm) {
    switch (norm) {
    case Norm::none: return "no";
    case Norm::batch: return "batch";
    case Norm::instance: return "instance";
    case Norm::layer: return "layer";
    }
    return "";
}

void Network::add_convolution(Norm norm, bool track, int inputs, int outputs, int stride, Random &random) {
    layers_.push_back(std::make_unique<Convolution>(inputs, outputs, stride, norm == Norm::none, random));
    if (norm == Norm::batch) {
        hnorm::BatchNorm layer(outputs, hnorm::Options().track_running_stats(track));
        layers_.push_back(std::make_unique<Normalization<hnorm::BatchNorm>>(std::move(layer)));
    } else if (norm == Norm::instance) {
        hnorm::InstanceNorm layer(outputs, hnorm::Options().affine(true));
        layers_.push_back(std::make_unique<Normalization<hnorm::InstanceNorm>>(std::move(layer)));
    }
    layers_.push_back(std::make_unique<Relu>());
}

void Network::add_linear(Norm norm, bool track, int inputs, int outputs, Random &random) {
    layers_.push_back(std::make_unique<Linear>(inputs, outputs, random, 2.0f));  // He et al., for the ReLU behind it
    if (norm == Norm::batch) {
        hnorm::BatchNorm1d layer(outputs, hnorm::Options().track_running_stats(track));
        layers_.push_back(std::make_unique<Normalization<hnorm::BatchNorm1d, 2>>(std::move(layer)));
    } else if (norm == Norm::layer) {
        layers_.push_back(std::make_unique<Normalization<hnorm::GroupNorm, 2>>(hnorm::GroupNorm(1, outputs)));
    }
    layers_.push_back(std::make_unique<Relu>());
}

Network::Network(Kind kind, Norm norm, bool track, std::uint64_t seed) {
    Random random(seed);
    if (kind == Kind::convolutional) {
        add_convolution(norm, track, 1, 16, 1, random);
        add_convolution(norm, track, 16, 32, 2, random);
        add_convolution(norm, track, 32, 32, 1, random);
        layers_.push_back(std::make_unique<Linear>(32 * 4 * 4, kClasses, random));
    } else {
        add_linear(norm, track, 8 * 8, 128, random);
        add_linear(norm, track, 128, 128, random);
        layers_.push_back(std::make_unique<Linear>(128, kClasses, random));
    }
    for (const auto &layer : layers_)
        for (const Parameter &parameter : layer->parameters()) parameters_.push_back(parameter);
}

Array Network::forward(Array images) {
    Array values = std::move(images);
    for (const auto &layer : layers_) values = layer->forward(std::move(values));
    return values;
}

void Network::backward(Array logits_gradient) {
    Array gradient = std::move(logits_gradient);
    for (auto layer = layers_.rbegin(); layer != layers_.rend(); ++layer)
        gradient = (*layer)->backward(std::move(gradient));
}

void Network::train(bool training) {
    for (const auto &layer : layers_) layer->train(training);
}

void Network::zero_gradients() {
    for (const Parameter &parameter : parameters_)
        std::fill(parameter.gradient.begin(), parameter.gradient.end(), 0.0f);
}

double Network::accuracy(const Data &data, int batch_size) {
    int right = 0, seen = 0;
    for (; seen + batch_size <= data.size(); seen += batch_size) {
        std::vector<int> indices(batch_size);
        std::iota(indices.begin(), indices.end(), seen);
        const Data batch = pick(data, indices);
        const Array logits = forward(batch.images);
        for (int n = 0; n < batch_size; ++n) {
            const float *z = logits.sample(n);
            right += std::max_element(z, z + kClasses) - z == batch.labels[n];
        }
    }
    return double(right) / seen;
}

}  // namespace digits
