// The example's gradients against differences, and that it learns.
#include "catch.hpp"
#include "convolution.h"
#include "experiments.h"
#include "layers.h"
#include "normalization.h"

#include <cmath>
#include <cstdio>
#include <fstream>
#include <functional>
#include <numeric>
#include <sstream>

using namespace digits;

namespace {

Array random_array(int n, int c, int h, int w, unsigned seed) {
    Array result(n, c, h, w);
    Random random(seed);
    std::normal_distribution<float> normal;
    for (float &value : result.values) value = normal(random);
    return result;
}

// Compares up to 50 of the gradients with (loss(value + h) - loss(value - h)) / 2h.
void check_differences(const std::string &what, hnorm::Span<float> values, hnorm::Span<const float> gradients,
                       const std::function<double()> &loss) {
    constexpr float kStep = 1e-2f;
    double largest = 0.0;
    for (const float gradient : gradients) largest = std::max(largest, std::fabs(double(gradient)));
    REQUIRE(largest > 0.0);
    for (std::size_t i = 0; i < values.size(); i += values.size() / 50 + 1) {
        const float value = values[i], above = value + kStep, below = value - kStep;
        values[i] = above;
        const double loss_above = loss();
        values[i] = below;
        const double loss_below = loss();
        values[i] = value;
        INFO(what << ", value " << i << " of " << values.size());
        CHECK((loss_above - loss_below) / (double(above) - below) == Approx(gradients[i]).margin(2e-3 * largest));
    }
}

// The loss is a weighted sum of the layer's values, so that dy is the weights.
void check_layer(Layer &layer, Array x) {
    const Array y = layer.forward(x);
    const Array weights = random_array(y.n, y.c, y.h, y.w, 7);
    const Array dx = layer.backward(weights);
    const auto loss = [&] {
        const Array values = layer.forward(x);
        return std::inner_product(values.values.begin(), values.values.end(), weights.values.begin(), 0.0,
                                  std::plus<>(), [](double a, double b) { return a * b; });
    };
    check_differences("x", x.values, dx.values, loss);
    const auto parameters = layer.parameters();
    for (std::size_t p = 0; p < parameters.size(); ++p)
        check_differences("parameter " + std::to_string(p), parameters[p].value, parameters[p].gradient, loss);
}

// The digits' first samples: enough for a few steps.
Data some_digits(int count) {
    std::vector<int> indices(count);
    std::iota(indices.begin(), indices.end(), 0);
    return pick(load(DIGITS_DATA "/digits.csv"), indices);
}

std::string refusal(const std::string &path) {
    try {
        load(path);
    } catch (const std::exception &error) {
        return error.what();
    }
    return "";
}

// Every network, with what it is trained with.
const std::pair<Kind, Norm> kNetworks[] = {
    {Kind::convolutional, Norm::none}, {Kind::convolutional, Norm::batch}, {Kind::convolutional, Norm::instance},
    {Kind::plain, Norm::none},         {Kind::plain, Norm::batch},         {Kind::plain, Norm::layer},
};

}  // namespace

TEST_CASE("the file holds 1797 digits, and what is no digit is refused with its line") {
    const Data data = load(DIGITS_DATA "/digits.csv");
    CHECK(data.size() == 1797);
    CHECK(data.images.sample(0)[3] == 13.0f / 16.0f);
    CHECK(data.labels[9] == 9);
    const Split parts = split(data, 1);
    CHECK(parts.held_out.size() == 359);
    CHECK(parts.training.size() == 1438);

    std::string zeros;
    for (int i = 0; i < 64; ++i) zeros += "0,";
    for (const std::string &row : {zeros + "10", zeros + "1,1", zeros, "17," + zeros, "x" + zeros + "1"}) {
        INFO(row);
        std::ofstream("test_digits_rows.csv") << zeros << "1\n" << row << "\n";
        CHECK(refusal("test_digits_rows.csv").find("test_digits_rows.csv, line 2: not 64 pixels") == 0);
    }
    std::remove("test_digits_rows.csv");
    CHECK(refusal("test_digits_none.csv").find("test_digits_none.csv: cannot be read") == 0);
}

TEST_CASE("convolution is the sum over filter and channels, with zeros around") {
    const int stride = GENERATE(1, 2);
    Random random(5);
    Convolution layer(3, 4, stride, true, random);
    const auto weights = layer.parameters()[0].value, bias = layer.parameters()[1].value;
    bias[2] = 0.5f;
    const Array x = random_array(2, 3, 8, 5, 1), y = layer.forward(x);
    REQUIRE(y.h == (stride == 1 ? 8 : 4));
    REQUIRE(y.w == (stride == 1 ? 5 : 3));
    const auto pixel = [&](int n, int c, int i, int j) {
        return i < 0 || i >= x.h || j < 0 || j >= x.w ? 0.0 : x.sample(n)[(c * x.h + i) * x.w + j];
    };
    for (int n = 0; n < y.n; ++n)
        for (int o = 0; o < y.c; ++o)
            for (int i = 0; i < y.h; ++i)
                for (int j = 0; j < y.w; ++j) {
                    double sum = bias[o];
                    for (int c = 0; c < x.c; ++c)
                        for (int k = 0; k < 9; ++k)
                            sum += double(weights[(o * x.c + c) * 9 + k]) *
                                   pixel(n, c, i * stride + k / 3 - 1, j * stride + k % 3 - 1);
                    CHECK(y.sample(n)[(o * y.h + i) * y.w + j] == Approx(sum).margin(1e-5));
                }
}

TEST_CASE("gradients of every layer equal finite differences") {
    Random random(3);
    SECTION("convolution") {
        const int stride = GENERATE(1, 2);
        Convolution layer(3, 5, stride, true, random);
        check_layer(layer, random_array(2, 3, 7, 6, 1));
    }
    SECTION("linear") {
        Linear layer(12, 10, random);
        check_layer(layer, random_array(3, 3, 2, 2, 1));
    }
    SECTION("ReLU") {
        Relu layer;
        Array x = random_array(2, 3, 4, 4, 1);
        for (float &value : x.values) value += value < 0.0f ? -0.1f : 0.1f;  // no difference across the bend
        check_layer(layer, x);
    }
    SECTION("batch norm") {
        Normalization<hnorm::BatchNorm> layer(hnorm::BatchNorm(3));
        check_layer(layer, random_array(4, 3, 4, 4, 1));
    }
    SECTION("instance norm") {
        Normalization<hnorm::InstanceNorm> layer(hnorm::InstanceNorm(3, hnorm::Options().affine(true)));
        check_layer(layer, random_array(2, 3, 5, 5, 1));
    }
    SECTION("batch norm of (N, C)") {
        Normalization<hnorm::BatchNorm1d, 2> layer(hnorm::BatchNorm1d(5));
        check_layer(layer, random_array(6, 5, 1, 1, 1));
    }
    SECTION("layer norm") {
        Normalization<hnorm::GroupNorm, 2> layer(hnorm::GroupNorm(1, 8));
        check_layer(layer, random_array(3, 8, 1, 1, 1));
    }
    SECTION("cross entropy") {
        Array logits = random_array(4, kClasses, 1, 1, 1), gradient, ignored;
        const std::vector<int> labels{3, 0, 9, 3};
        cross_entropy(logits, labels, gradient);
        check_differences("logits", logits.values, gradient.values,
                          [&] { return cross_entropy(logits, labels, ignored); });
    }
}

TEST_CASE("the whole network's gradient predicts the loss along it") {
    const auto [kind, norm] = GENERATE_COPY(from_range(std::begin(kNetworks), std::end(kNetworks)));
    const Data data = some_digits(8);
    Network network(kind, norm, true, 1);
    Array gradient;
    cross_entropy(network.forward(data.images), data.labels, gradient);
    network.backward(gradient);
    double squares = 0.0;
    for (const Parameter &parameter : network.parameters())
        for (const float value : parameter.gradient) squares += double(value) * value;
    const double length = std::sqrt(squares), step = 1e-3;
    const auto loss_after = [&](double distance) {
        for (const Parameter &parameter : network.parameters())
            for (std::size_t i = 0; i < parameter.value.size(); ++i)
                parameter.value[i] += float(parameter.gradient[i] / length * distance);
        return cross_entropy(network.forward(data.images), data.labels, gradient);
    };
    const double above = loss_after(step), below = loss_after(-2.0 * step);
    INFO(kind_name(kind) << ", " << norm_name(norm) << " norm");
    CHECK((above - below) / (2.0 * step) == Approx(length).epsilon(0.02));
}

TEST_CASE("an epoch of training lowers the loss and raises the held-out accuracy in both modes") {
    const auto [kind, norm] = GENERATE_COPY(from_range(std::begin(kNetworks), std::end(kNetworks)));
    const Result result = train(split(some_digits(1000), 1), {kind, norm, 0.03, 32, 1, 1});
    INFO(describe(result.run));
    CHECK_FALSE(result.diverged);
    CHECK(result.records.back().loss < 0.7 * result.records.front().loss);
    CHECK(result.final_evaluation_accuracy() > 0.5);
    CHECK(result.final_training_accuracy() > 0.5);
}

TEST_CASE("batch norm of two samples passes on which value is the larger, and no more") {
    Normalization<hnorm::BatchNorm1d, 2> layer(hnorm::BatchNorm1d(50));
    const Array x = random_array(2, 50, 1, 1, 1), y = layer.forward(x);
    for (int c = 0; c < 50; ++c) {
        const float sign = x.sample(0)[c] > x.sample(1)[c] ? 1.0f : -1.0f;
        CHECK(y.sample(0)[c] == Approx(sign).epsilon(0.05));
        CHECK(y.sample(1)[c] == Approx(-sign).epsilon(0.05));
    }
}

TEST_CASE("batches of two keep batch norm from learning where a channel has one value a sample") {
    const Split data = split(some_digits(1000), 1);
    const auto accuracy = [&](Norm norm) {
        return train(data, {Kind::plain, norm, 0.00625, 2, 1, 1}).final_evaluation_accuracy();
    };
    CHECK(accuracy(Norm::none) > 0.85);
    CHECK(accuracy(Norm::layer) > 0.85);
    CHECK(accuracy(Norm::batch) < 0.75);
}

TEST_CASE("a loss that is no number ends the run") {
    const Result result = train(split(some_digits(200), 1), {Kind::convolutional, Norm::none, 1e30, 8, 2, 1});
    CHECK(result.diverged);
    CHECK(std::isnan(result.final_evaluation_accuracy()));
}

TEST_CASE("the number of threads changes no result") {
    const Data data = some_digits(100);
    std::vector<Run> runs;
    for (const auto &[kind, norm] : kNetworks) runs.push_back({kind, norm, 0.1, 8, 1, 1});
    std::ostringstream progress, one, three;
    write_csv(train_all(data, runs, 1, progress), one);
    write_csv(train_all(data, runs, 3, progress), three);
    CHECK(one.str() == three.str());
}
