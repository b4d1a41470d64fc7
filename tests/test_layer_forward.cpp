// What layers normalize with, in training and evaluation, and what leaves them unchanged.
#include "layer_reference.h"

using namespace api;

namespace {

// Everything a layer may change in forward.
struct State {
    explicit State(hnorm_layer *layer) {
        const auto features = static_cast<size_t>(hnorm_layer_num_features(layer));
        if (const double *mean = hnorm_layer_running_mean(layer)) running_mean.assign(mean, mean + features);
        if (const double *var = hnorm_layer_running_var(layer)) running_var.assign(var, var + features);
        if (const int64_t *value = hnorm_layer_num_batches_tracked(layer)) tracked = *value;
    }
    bool operator==(const State &other) const {
        return same_bits(running_mean, other.running_mean) && same_bits(running_var, other.running_var) &&
               tracked == other.tracked;
    }
    std::vector<double> running_mean, running_var;
    int64_t tracked = -1;
};

void set_affine(hnorm_layer *layer) {
    for (int64_t c = 0; c < hnorm_layer_num_features(layer); c++) {
        hnorm_layer_gamma(layer)[c] = 1.5f - static_cast<float>(c);
        hnorm_layer_beta(layer)[c] = 0.25f * static_cast<float>(c) - 1;
    }
}

}  // namespace

TEST_CASE("a new layer has PyTorch's defaults", "[once]") {
    const hnorm_layer_options batch = hnorm_layer_defaults(HNORM_BATCH),
                              instance = hnorm_layer_defaults(HNORM_INSTANCE);
    for (const hnorm_layer_options &options : {batch, instance}) {
        REQUIRE(options.eps == 1e-5);
        REQUIRE(options.momentum == 0.1);
        REQUIRE(options.cumulative == 0);
    }
    REQUIRE((batch.group == HNORM_BATCH && batch.affine && batch.track_running_stats));
    REQUIRE((instance.group == HNORM_INSTANCE && !instance.affine && !instance.track_running_stats));

    hnorm_layer *layer = nullptr;
    REQUIRE(hnorm_layer_create(4, nullptr, &layer) == HNORM_OK);
    REQUIRE(hnorm_layer_num_features(layer) == 4);
    REQUIRE(hnorm_layer_is_training(layer) == 1);
    for (int c = 0; c < 4; c++) {
        REQUIRE(hnorm_layer_gamma(layer)[c] == 1.0f);
        REQUIRE(hnorm_layer_beta(layer)[c] == 0.0f);
    }
    hnorm_layer_destroy(layer);

    Layer plain(4, instance);
    REQUIRE(hnorm_layer_gamma(plain) == nullptr);
    REQUIRE(hnorm_layer_beta(plain) == nullptr);
    REQUIRE(hnorm_layer_running_mean(plain) == nullptr);
    REQUIRE(hnorm_layer_running_var(plain) == nullptr);
    REQUIRE(hnorm_layer_num_batches_tracked(plain) == nullptr);
    REQUIRE(hnorm_layer_reset_running_stats(plain) == HNORM_OK);
}

TEST_CASE("training normalizes with the batch's statistics, biased, and the layer's affine") {
    for (hnorm_group group : {HNORM_BATCH, HNORM_INSTANCE}) {
        for (int affine : {0, 1}) {
            INFO("group " << group << ", affine " << affine);
            hnorm_layer_options options = hnorm_layer_defaults(group);
            options.affine = affine;
            options.eps = 0.125;
            Layer layer(2, options);
            if (affine) set_affine(layer);
            Pair pair({3, 2, 17});
            REQUIRE(hnorm_layer_forward(layer, &pair.in, &pair.out) == HNORM_OK);
            require_normalized(layer, options.eps, pair.x, group, test::references(as_tensor(pair.x), group), pair.y);
        }
    }
}

TEST_CASE("evaluation normalizes with the running statistics and changes nothing") {
    const int64_t channels = 3;
    for (hnorm_group group : {HNORM_BATCH, HNORM_INSTANCE}) {
        INFO("group " << group);
        hnorm_layer_options options = hnorm_layer_defaults(group);
        options.track_running_stats = 1;
        options.affine = 1;
        Layer layer(channels, options);
        set_affine(layer);
        test::References statistics;  // one a channel: those of a batch
        for (int64_t c = 0; c < channels; c++) {
            double &mean = hnorm_layer_running_mean(layer)[c], &variance = hnorm_layer_running_var(layer)[c];
            mean = 0.5 * static_cast<double>(c) - 0.25, variance = 0.5 + static_cast<double>(c);
            statistics.push_back({0, mean, variance});
        }
        REQUIRE(hnorm_layer_train(layer, 0) == HNORM_OK);
        REQUIRE(hnorm_layer_is_training(layer) == 0);
        const State before(layer);
        Pair pair({2, channels, 4, 5});
        REQUIRE(hnorm_layer_forward(layer, &pair.in, &pair.out) == HNORM_OK);
        require_normalized(layer, options.eps, pair.x, HNORM_BATCH, statistics, pair.y);
        // One value a channel is fine here: nothing is estimated from it.
        Pair one({1, channels});
        REQUIRE(hnorm_layer_forward(layer, &one.in, &one.out) == HNORM_OK);
        require_normalized(layer, options.eps, one.x, HNORM_BATCH, statistics, one.y);
        REQUIRE(State(layer) == before);
        REQUIRE(hnorm_layer_train(layer, 1) == HNORM_OK);
        REQUIRE(hnorm_layer_is_training(layer) == 1);
        REQUIRE(hnorm_layer_forward(layer, &pair.in, &pair.out) == HNORM_OK);
        REQUIRE(!(State(layer) == before));
    }
}

TEST_CASE("without running statistics, evaluation is training") {
    for (hnorm_group group : {HNORM_BATCH, HNORM_INSTANCE}) {
        hnorm_layer_options options = hnorm_layer_defaults(group);
        options.track_running_stats = 0;
        Layer layer(3, options);
        Pair training({2, 3, 4, 5}), evaluation({2, 3, 4, 5});
        REQUIRE(hnorm_layer_forward(layer, &training.in, &training.out) == HNORM_OK);
        REQUIRE(hnorm_layer_train(layer, 0) == HNORM_OK);
        REQUIRE(hnorm_layer_forward(layer, &evaluation.in, &evaluation.out) == HNORM_OK);
        REQUIRE(!all_are(training.y, kSentinel));
        REQUIRE(same_bits(training.y, evaluation.y));
        Pair one({1, 3, 1, 1});
        require_refused(hnorm_layer_forward(layer, &one.in, &one.out), HNORM_INVALID_ARGUMENT, {"more than 1 value"});
        REQUIRE(all_are(one.y, kSentinel));
    }
}

TEST_CASE("what a layer refuses leaves its running statistics and y alone") {
    for (hnorm_group group : {HNORM_BATCH, HNORM_INSTANCE}) {
        INFO("group " << group);
        hnorm_layer_options options = hnorm_layer_defaults(group);
        options.track_running_stats = 1;
        Layer layer(3, options);
        Pair pair({2, 3, 4, 5});
        REQUIRE(hnorm_layer_forward(layer, &pair.in, &pair.out) == HNORM_OK);
        const State before(layer);
        REQUIRE(before.tracked == 1);

        Pair one({1, 3, 1, 1});
        require_refused(
            hnorm_layer_forward(layer, &one.in, &one.out), HNORM_INVALID_ARGUMENT,
            {"hnorm_layer_forward: expected more than 1 value per channel", "in training, got shape (1, 3, 1, 1)"});
        REQUIRE(all_are(one.y, kSentinel));
        Pair features({2, 4, 4, 5});
        require_refused(hnorm_layer_forward(layer, &features.in, &features.out), HNORM_INVALID_ARGUMENT,
                        {"x.shape is (2, 4, 4, 5)", "num_features, 3"});
        REQUIRE(all_are(features.y, kSentinel));
        Pair no_features({0, 4, 4, 5});
        require_refused(hnorm_layer_forward(layer, &no_features.in, &no_features.out), HNORM_INVALID_ARGUMENT,
                        {"x.shape is (0, 4, 4, 5)"});
        require_refused(hnorm_layer_forward(layer, &pair.in, &one.out), HNORM_INVALID_ARGUMENT,
                        {"y.shape is (1, 3, 1, 1)"});
        REQUIRE(State(layer) == before);

        for (int64_t steps : {int64_t(-2), INT64_MAX}) {
            *hnorm_layer_num_batches_tracked(layer) = steps;
            Pair other({2, 3, 4, 5});
            require_refused(hnorm_layer_forward(layer, &other.in, &other.out), HNORM_INVALID_ARGUMENT,
                            {"num_batches_tracked is " + std::to_string(steps)});
            REQUIRE(all_are(other.y, kSentinel));
        }
    }
}

TEST_CASE("an empty batch changes nothing") {
    for (hnorm_group group : {HNORM_BATCH, HNORM_INSTANCE}) {
        for (int training : {1, 0}) {
            hnorm_layer_options options = hnorm_layer_defaults(group);
            options.track_running_stats = 1;
            Layer layer(3, options);
            Pair pair({2, 3, 4, 5});
            REQUIRE(hnorm_layer_forward(layer, &pair.in, &pair.out) == HNORM_OK);
            REQUIRE(hnorm_layer_train(layer, training) == HNORM_OK);
            const State before(layer);
            const Elements y = pair.y;
            const hnorm_tensor in = pair.x.view({0, 3, 4, 5}), out = pair.y.view({0, 3, 4, 5});
            REQUIRE(hnorm_layer_forward(layer, &in, &out) == HNORM_OK);
            REQUIRE(State(layer) == before);
            REQUIRE(same_bits(pair.y, y));
        }
    }
}

TEST_CASE("a layer works in place") {
    for (hnorm_group group : {HNORM_BATCH, HNORM_INSTANCE}) {
        Layer layer(5, hnorm_layer_defaults(group)), other(5, hnorm_layer_defaults(group));
        Pair pair({3, 5, 9, 11});
        REQUIRE(hnorm_layer_forward(layer, &pair.in, &pair.out) == HNORM_OK);
        REQUIRE(hnorm_layer_forward(other, &pair.in, &pair.in) == HNORM_OK);
        REQUIRE(same_bits(pair.x, pair.y));
        REQUIRE(State(layer) == State(other));
    }
}
