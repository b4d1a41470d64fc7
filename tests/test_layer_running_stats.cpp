// Running statistics, against their definition.
#include "layer_reference.h"

#include <hnorm/hnorm.hpp>

#include <limits>

using namespace api;

namespace {

constexpr int64_t kChannels = 3, kHeight = 5, kWidth = 7;

// Runs `steps` training steps of varying batch size on data whose mean and scale change, next to
// the definition.
void train(const hnorm_layer_options &options, int steps) {
    Layer layer(kChannels, options);
    RunningStatistics expected(options, kChannels);
    for (int step = 1; step <= steps; step++) {
        const int64_t samples = 1 + step % 4;
        Pair pair({samples, kChannels, kHeight, kWidth}, static_cast<uint32_t>(step));
        for (size_t i = 0; i < pair.x.size(); i++)
            pair.x.set(i, pair.x[i] * static_cast<float>(step) + 0.5f * static_cast<float>(step % 3));
        INFO("step " << step << ", " << samples << " samples, group " << options.group << ", momentum "
                     << options.momentum << ", cumulative " << options.cumulative);
        expected.step(as_tensor(pair.x));
        REQUIRE(hnorm_layer_forward(layer, &pair.in, &pair.out) == HNORM_OK);
        REQUIRE(*hnorm_layer_num_batches_tracked(layer) == step);
        expected.require(hnorm_layer_running_mean(layer), hnorm_layer_running_var(layer));
    }
}

hnorm_layer_options tracking(hnorm_group group) {
    hnorm_layer_options options = hnorm_layer_defaults(group);
    options.track_running_stats = 1;
    return options;
}

}  // namespace

TEST_CASE("running statistics follow their definition over many steps") {
    for (hnorm_group group : {HNORM_BATCH, HNORM_INSTANCE}) {
        hnorm_layer_options options = tracking(group);
        for (double momentum : {0.1, 0.5, 0.997}) {
            options.momentum = momentum;
            train(options, 25);
        }
    }
}

TEST_CASE("running statistics follow ONNX's convention where asked: momentum keeps the old value, variance is biased") {
    for (hnorm_group group : {HNORM_BATCH, HNORM_INSTANCE}) {
        hnorm_layer_options options = tracking(group);
        options.onnx_running_stats = 1;
        for (double momentum : {0.9, 0.25}) {
            options.momentum = momentum;
            train(options, 25);
        }
    }
    Pair pair({2, 1});
    pair.x.set({1, 3});
    hnorm::BatchNorm layer(1, hnorm::Options().onnx_running_stats(true));  // momentum 0.9, ONNX's default
    layer.forward(hnorm::Tensor(pair.in), hnorm::Tensor(pair.out));
    CHECK(layer.running_mean()[0] == Approx(0.1 * 2));
    CHECK(layer.running_var()[0] == Approx(0.9 * 1 + 0.1 * 1));
    hnorm_layer_options both = tracking(HNORM_BATCH);
    both.cumulative = both.onnx_running_stats = 1;
    hnorm_layer *none = nullptr;
    CHECK(hnorm_layer_create(1, &both, &none) == HNORM_INVALID_ARGUMENT);
    CHECK(std::string(hnorm_last_error()).find("onnx_running_stats") != std::string::npos);
}

TEST_CASE("cumulative running statistics are the plain average of all steps") {
    for (hnorm_group group : {HNORM_BATCH, HNORM_INSTANCE}) {
        hnorm_layer_options options = tracking(group);
        options.cumulative = 1;
        options.momentum = std::numeric_limits<double>::quiet_NaN();  // not used
        train(options, 25);
    }
}

TEST_CASE("momentum 0 keeps the running statistics, 1 replaces them") {
    for (hnorm_group group : {HNORM_BATCH, HNORM_INSTANCE}) {
        hnorm_layer_options options = tracking(group);
        options.momentum = 0;
        train(options, 3);
        Layer layer(kChannels, options);
        Pair pair({2, kChannels, kHeight, kWidth});
        REQUIRE(hnorm_layer_forward(layer, &pair.in, &pair.out) == HNORM_OK);
        for (int64_t c = 0; c < kChannels; c++) {
            REQUIRE(hnorm_layer_running_mean(layer)[c] == 0.0);
            REQUIRE(hnorm_layer_running_var(layer)[c] == 1.0);
        }
        options.momentum = 1;
        train(options, 3);
    }
}

TEST_CASE("the first step starts from mean 0 and variance 1, and reset returns there") {
    Layer layer(2);
    Pair pair({1, 2, 2});
    pair.x.set({1, 3, -5, -5});
    const auto require_fresh = [&] {
        for (int c = 0; c < 2; c++) {
            REQUIRE(hnorm_layer_running_mean(layer)[c] == 0.0);
            REQUIRE(hnorm_layer_running_var(layer)[c] == 1.0);
        }
        REQUIRE(*hnorm_layer_num_batches_tracked(layer) == 0);
    };
    require_fresh();
    REQUIRE(hnorm_layer_forward(layer, &pair.in, &pair.out) == HNORM_OK);
    // Channel 0: mean 2, unbiased variance 2. Channel 1: constant.
    REQUIRE(hnorm_layer_running_mean(layer)[0] == Approx(0.2).epsilon(1e-14));
    REQUIRE(hnorm_layer_running_var(layer)[0] == Approx(0.9 + 0.2).epsilon(1e-14));
    REQUIRE(hnorm_layer_running_mean(layer)[1] == Approx(-0.5).epsilon(1e-14));
    REQUIRE(hnorm_layer_running_var(layer)[1] == Approx(0.9).epsilon(1e-14));
    REQUIRE(*hnorm_layer_num_batches_tracked(layer) == 1);
    // Normalized with the biased variance, 1.
    const double normalized = 1 / std::sqrt(1 + 1e-5);
    REQUIRE(pair.y[1] == Approx(normalized).epsilon(1e-6).margin(static_cast<double>(test::last_place(normalized))));
    REQUIRE(hnorm_layer_reset_running_stats(layer) == HNORM_OK);
    require_fresh();
}

TEST_CASE("a NaN in the input shows in the running statistics") {
    Layer layer(2);
    Pair pair({2, 2, 3});
    pair.x.set(4, std::numeric_limits<float>::quiet_NaN());
    REQUIRE(hnorm_layer_forward(layer, &pair.in, &pair.out) == HNORM_OK);
    REQUIRE(!std::isnan(hnorm_layer_running_mean(layer)[0]));
    REQUIRE(std::isnan(hnorm_layer_running_mean(layer)[1]));
    REQUIRE(std::isnan(hnorm_layer_running_var(layer)[1]));
}

TEST_CASE("moments that were computed elsewhere update the running statistics as a forward does, bit for bit",
          "[cpu]") {
    for (int cumulative : {0, 1}) {
        hnorm_layer_options options = tracking(HNORM_BATCH);
        options.cumulative = cumulative;
        options.onnx_running_stats = !cumulative;
        Layer forward(kChannels, options), update(kChannels, options);
        for (uint32_t step = 1; step <= 4; step++) {
            Pair pair({3, kChannels, kHeight, kWidth}, step);
            double count[kChannels], mean[kChannels], m2[kChannels];
            REQUIRE(hnorm_layer_forward(forward, &pair.in, &pair.out) == HNORM_OK);
            REQUIRE(hnorm_moments(&pair.in, HNORM_BATCH, count, mean, m2) == HNORM_OK);
            REQUIRE(hnorm_layer_update(update, count, mean, m2) == HNORM_OK);
        }
        for (int64_t c = 0; c < kChannels; c++) {
            REQUIRE(hnorm_layer_running_mean(forward)[c] == hnorm_layer_running_mean(update)[c]);
            REQUIRE(hnorm_layer_running_var(forward)[c] == hnorm_layer_running_var(update)[c]);
        }
        REQUIRE(*hnorm_layer_num_batches_tracked(update) == 4);
    }
    hnorm::BatchNorm layer(2);
    const std::vector<double> two = {4, 1}, three(3);
    try {
        layer.update(two, two, two);
        FAIL("a count of 1 was taken");
    } catch (const hnorm::Error &error) {
        REQUIRE(std::string(error.what()) == "hnorm_layer_update: count[1] is 1: it must be finite and 2 or more");
    }
    REQUIRE_THROWS_WITH(layer.update(two, three, two),
                        "update: count, mean and m2 hold 2, 3 and 2 values but must hold 2");
    REQUIRE(layer.running_mean()[0] == 0);
    Layer instance(2, tracking(HNORM_INSTANCE));
    require_refused(hnorm_layer_update(instance, two.data(), two.data(), two.data()), HNORM_UNSUPPORTED,
                    {"hnorm_layer_update: the layer has no running statistics of a whole batch"});
    require_refused(hnorm_layer_update(nullptr, two.data(), two.data(), two.data()), HNORM_INVALID_ARGUMENT,
                    {"layer is null"});
}
