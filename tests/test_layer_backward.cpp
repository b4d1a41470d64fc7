// Layers' gradients: those of their latest forward, added to what is there; and what they refuse.
#include "api.h"

#include <atomic>
#include <thread>

using namespace api;

namespace {

const std::vector<int64_t> kShape = {4, 3, 9, 11};
constexpr int64_t kChannels = 3;
constexpr size_t kGroups[] = {3, 12};  // of a batch, of instances

hnorm_layer_options options_of(hnorm_group group, int track, int affine = 1) {
    hnorm_layer_options options = hnorm_layer_defaults(group);
    options.track_running_stats = track;
    options.affine = affine;
    options.eps = 0.0625;
    return options;
}

// x and y, dy and dx.
struct Step {
    explicit Step(const std::vector<int64_t> &shape = kShape, uint32_t seed = 1)
        : forward(shape, seed), backward(shape, seed + 50) {
        x = forward.in, y = forward.out, dy = backward.in, dx = backward.out;
    }
    const Elements &dx_values() const { return backward.y; }

    Pair forward, backward;
    hnorm_tensor x, y, dy, dx;
};

void set_affine(hnorm_layer *layer) {
    for (int64_t c = 0; c < hnorm_layer_num_features(layer); c++) {
        hnorm_layer_gamma(layer)[c] = 1.5f - static_cast<float>(c);
        hnorm_layer_beta(layer)[c] = 0.25f * static_cast<float>(c) - 1;
    }
}

std::vector<float> values(const float *data) { return std::vector<float>(data, data + kChannels); }

// What backward must give.
struct Expected {
    Elements dx{kShape};
    std::vector<float> dgamma = std::vector<float>(kChannels), dbeta = dgamma;
};

Expected through_batch(const Step &step, hnorm_layer *layer, const hnorm_layer_options &options) {
    Step copy;
    copy.forward.x = step.forward.x, copy.backward.x = step.backward.x;
    const size_t groups = kGroups[options.group];
    std::vector<double> mean(groups), variance(groups);
    const hnorm_affine affine = hnorm_affine_of(hnorm_layer_gamma(layer), hnorm_layer_beta(layer));
    Expected e;
    REQUIRE(hnorm_forward(&copy.x, options.group, &affine, options.eps, nullptr, &copy.y, mean.data(),
                          variance.data()) == HNORM_OK);
    REQUIRE(hnorm_backward(&copy.x, &copy.dy, options.group, mean.data(), variance.data(), &affine, options.eps,
                           nullptr, &copy.dx, e.dgamma.data(), e.dbeta.data()) == HNORM_OK);
    e.dx = copy.dx_values();
    return e;
}

Expected of_constants(const Step &step, hnorm_layer *layer, const hnorm_layer_options &options) {
    Step copy;
    copy.forward.x = step.forward.x, copy.backward.x = step.backward.x;
    const hnorm_affine affine = hnorm_affine_of(hnorm_layer_gamma(layer), hnorm_layer_beta(layer));
    Expected e;
    REQUIRE(hnorm_normalize_backward(&copy.x, &copy.dy, HNORM_BATCH, hnorm_layer_running_mean(layer),
                                     hnorm_layer_running_var(layer), &affine, options.eps, nullptr, &copy.dx,
                                     e.dgamma.data(), e.dbeta.data()) == HNORM_OK);
    e.dx = copy.dx_values();
    return e;
}

// A layer's first backward.
void require_gradients(hnorm_layer *layer, Step &step, const Expected &expected) {
    INFO(hnorm_last_error());
    REQUIRE(hnorm_layer_backward(layer, &step.x, &step.dy, &step.dx) == HNORM_OK);
    REQUIRE(same_bits(step.dx_values(), expected.dx));
    if (!hnorm_layer_gamma(layer)) return;
    REQUIRE(same_bits(values(hnorm_layer_gamma_grad(layer)), expected.dgamma));
    REQUIRE(same_bits(values(hnorm_layer_beta_grad(layer)), expected.dbeta));
}

// Refused, with neither dx nor the gradients written.
void require_no_gradients(hnorm_layer *layer, Step &step, const std::vector<std::string> &words) {
    const std::vector<float> gamma_grad = values(hnorm_layer_gamma_grad(layer)),
                             beta_grad = values(hnorm_layer_beta_grad(layer));
    const Elements dx = step.dx_values();
    std::vector<std::string> all = words;
    all.push_back("hnorm_layer_backward: ");
    require_refused(hnorm_layer_backward(layer, &step.x, &step.dy, &step.dx), HNORM_INVALID_ARGUMENT, all);
    REQUIRE(same_bits(step.dx_values(), dx));
    REQUIRE(same_bits(values(hnorm_layer_gamma_grad(layer)), gamma_grad));
    REQUIRE(same_bits(values(hnorm_layer_beta_grad(layer)), beta_grad));
}

}  // namespace

TEST_CASE("a layer's gradients start at 0, and are there where gamma and beta are", "[once]") {
    Layer layer(kChannels), plain(kChannels, hnorm_layer_defaults(HNORM_INSTANCE));
    REQUIRE(all_are(values(hnorm_layer_gamma_grad(layer)), 0.0f));
    REQUIRE(all_are(values(hnorm_layer_beta_grad(layer)), 0.0f));
    REQUIRE((hnorm_layer_gamma_grad(plain) == nullptr && hnorm_layer_beta_grad(plain) == nullptr));
    REQUIRE((hnorm_layer_gamma_grad(nullptr) == nullptr && hnorm_layer_beta_grad(nullptr) == nullptr));
    REQUIRE(hnorm_layer_zero_grad(plain) == HNORM_OK);
    require_refused(hnorm_layer_zero_grad(nullptr), HNORM_INVALID_ARGUMENT, {"hnorm_layer_zero_grad: layer is null"});
}

TEST_CASE("after training, backward goes through the batch's statistics") {
    for (hnorm_group group : {HNORM_BATCH, HNORM_INSTANCE}) {
        for (const int affine : {1, 0}) {
            INFO("group " << group << ", affine " << affine);
            const hnorm_layer_options options = options_of(group, 1, affine);
            Layer layer(kChannels, options);
            if (affine) set_affine(layer);
            Step step;
            REQUIRE(hnorm_layer_forward(layer, &step.x, &step.y) == HNORM_OK);
            const Expected expected = through_batch(step, layer, options);
            // The mode of the forward counts, not that of now.
            REQUIRE(hnorm_layer_train(layer, 0) == HNORM_OK);
            require_gradients(layer, step, expected);
        }
    }
}

TEST_CASE("after evaluation, backward takes the running statistics for constants, and without them is as in training") {
    for (hnorm_group group : {HNORM_BATCH, HNORM_INSTANCE}) {
        for (const int track : {1, 0}) {
            INFO("group " << group << ", track_running_stats " << track);
            const hnorm_layer_options options = options_of(group, track);
            Layer layer(kChannels, options);
            set_affine(layer);
            Step step, other(kShape, 7);
            REQUIRE(hnorm_layer_forward(layer, &other.x, &other.y) == HNORM_OK);
            REQUIRE(hnorm_layer_train(layer, 0) == HNORM_OK);
            REQUIRE(hnorm_layer_forward(layer, &step.x, &step.y) == HNORM_OK);
            REQUIRE(hnorm_layer_train(layer, 1) == HNORM_OK);
            require_gradients(layer, step,
                              track ? of_constants(step, layer, options) : through_batch(step, layer, options));
        }
    }
}

TEST_CASE("gradients of gamma and beta add up until they are zeroed, with gamma as it is") {
    const hnorm_layer_options options = options_of(HNORM_BATCH, 1);
    Layer layer(kChannels, options);
    Step step;
    REQUIRE(hnorm_layer_forward(layer, &step.x, &step.y) == HNORM_OK);
    set_affine(layer);
    const Expected expected = through_batch(step, layer, options);
    require_gradients(layer, step, expected);
    REQUIRE(hnorm_layer_backward(layer, &step.x, &step.dy, nullptr) == HNORM_OK);
    for (size_t c = 0; c < kChannels; c++) {
        REQUIRE(hnorm_layer_gamma_grad(layer)[c] == expected.dgamma[c] + expected.dgamma[c]);
        REQUIRE(hnorm_layer_beta_grad(layer)[c] == expected.dbeta[c] + expected.dbeta[c]);
    }
    REQUIRE(hnorm_layer_zero_grad(layer) == HNORM_OK);
    REQUIRE(all_are(values(hnorm_layer_gamma_grad(layer)), 0.0f));
    REQUIRE(all_are(values(hnorm_layer_beta_grad(layer)), 0.0f));
    require_gradients(layer, step, expected);
}

TEST_CASE("backward without its forward is refused") {
    for (const int training : {1, 0}) {
        INFO("training " << training);
        Layer layer(kChannels);
        REQUIRE(hnorm_layer_train(layer, training) == HNORM_OK);
        Step step, other(kShape, 7);
        require_no_gradients(layer, step, {"no forward before it"});
        // A forward that was refused, or had nothing to do, is none.
        const hnorm_tensor empty = Elements({0, 3, 9, 11}).view();
        REQUIRE(hnorm_layer_forward(layer, &empty, &empty) == HNORM_OK);
        REQUIRE(hnorm_layer_forward(layer, &step.x, nullptr) == HNORM_INVALID_ARGUMENT);
        require_no_gradients(layer, step, {"no forward before it"});
        // Nor is one of another tensor, or of this one in another shape.
        REQUIRE(hnorm_layer_forward(layer, &other.x, &other.y) == HNORM_OK);
        require_no_gradients(layer, step, {"x (shape (4, 3, 9, 11) at ", "not the tensor that the latest forward"});
        REQUIRE(hnorm_layer_forward(layer, &step.x, &step.y) == HNORM_OK);
        for (hnorm_tensor *t : {&step.x, &step.dy, &step.dx}) t->shape[0] = 2;
        require_no_gradients(layer, step, {"x (shape (2, 3, 9, 11) at ", "not the tensor"});
        // A later refusal, or an empty batch, leaves the latest forward what it was.
        for (hnorm_tensor *t : {&step.x, &step.dy, &step.dx}) t->shape[0] = 4;
        REQUIRE(hnorm_layer_forward(layer, &empty, &empty) == HNORM_OK);
        REQUIRE(hnorm_layer_forward(layer, &other.x, nullptr) == HNORM_INVALID_ARGUMENT);
        REQUIRE(hnorm_layer_backward(layer, &empty, &empty, &empty) == HNORM_OK);
        REQUIRE(all_are(values(hnorm_layer_beta_grad(layer)), 0.0f));
        REQUIRE(hnorm_layer_backward(layer, &step.x, &step.dy, &step.dx) == HNORM_OK);
    }
}

TEST_CASE("backward after an in-place forward or backward that destroyed x is refused") {
    for (const int training : {1, 0}) {
        INFO("training " << training);
        Layer layer(kChannels);
        REQUIRE(hnorm_layer_train(layer, training) == HNORM_OK);
        Step step;
        REQUIRE(hnorm_layer_forward(layer, &step.x, &step.x) == HNORM_OK);
        require_no_gradients(layer, step, {"overwritten", "in place"});
        // dx may be dy, again and again, and x once.
        REQUIRE(hnorm_layer_forward(layer, &step.x, &step.y) == HNORM_OK);
        Step in_dy;
        in_dy.backward.x = step.backward.x;
        REQUIRE(hnorm_layer_backward(layer, &step.x, &step.dy, &step.dx) == HNORM_OK);
        REQUIRE(hnorm_layer_backward(layer, &step.x, &in_dy.dy, &in_dy.dy) == HNORM_OK);
        REQUIRE(same_bits(in_dy.backward.x, step.dx_values()));
        REQUIRE(hnorm_layer_backward(layer, &step.x, &step.dy, &step.x) == HNORM_OK);
        REQUIRE(same_bits(step.forward.x, step.dx_values()));
        require_no_gradients(layer, step, {"overwritten", "in place"});
        // Another forward is another chance.
        REQUIRE(hnorm_layer_forward(layer, &step.x, &step.y) == HNORM_OK);
        REQUIRE(hnorm_layer_backward(layer, &step.x, &step.dy, &step.dx) == HNORM_OK);
    }
}

TEST_CASE("a layer's backward refuses bad tensors", "[cpu]") {
    Layer layer(kChannels);
    Step step;
    REQUIRE(hnorm_layer_forward(layer, &step.x, &step.y) == HNORM_OK);
    require_refused(hnorm_layer_backward(nullptr, &step.x, &step.dy, &step.dx), HNORM_INVALID_ARGUMENT,
                    {"hnorm_layer_backward: layer is null"});
    require_refused(hnorm_layer_backward(layer, nullptr, &step.dy, &step.dx), HNORM_INVALID_ARGUMENT, {"x is null"});
    require_refused(hnorm_layer_backward(layer, &step.x, nullptr, &step.dx), HNORM_INVALID_ARGUMENT, {"dy is null"});
    step.dy.shape[0] = 3;
    require_no_gradients(layer, step, {"dy.shape is (3, 3, 9, 11) but x.shape is (4, 3, 9, 11)"});
    step.dy.shape[0] = 4;
    step.dx.data = step.backward.x.data(1);
    require_no_gradients(layer, step, {"dx overlaps dy, 1 elements"});
    step.dx.strides[0] = 0;
    require_no_gradients(layer, step, {"dx.strides[0] is 0"});
    Step features({4, 4, 9, 11});
    require_no_gradients(layer, features, {"x.shape is (4, 4, 9, 11)", "num_features, 3"});
}

TEST_CASE("layers train with gradients on many threads at once, one layer each") {
    struct Restore {
        ~Restore() { hnorm_set_num_threads(0); }
    } restore;
    REQUIRE(hnorm_set_num_threads(3) == HNORM_OK);
    const std::vector<int64_t> shape = {4, 3, 40, 41};
    for (hnorm_group group : {HNORM_BATCH, HNORM_INSTANCE}) {
        const hnorm_layer_options options = options_of(group, 1);
        const auto steps = [&](hnorm_layer *layer) {
            std::vector<char> result;  // bytes
            const auto add = [&](const float *values) {
                const char *const bytes = reinterpret_cast<const char *>(values);
                result.insert(result.end(), bytes, bytes + kChannels * sizeof *values);
            };
            for (uint32_t seed = 1; seed <= 4; seed++) {
                Step step(shape, seed);
                if (hnorm_layer_forward(layer, &step.x, &step.y) != HNORM_OK) return std::vector<char>();
                if (hnorm_layer_backward(layer, &step.x, &step.dy, &step.dx) != HNORM_OK) return std::vector<char>();
                const std::vector<char> &dx = step.dx_values().bytes();
                result.insert(result.end(), dx.begin(), dx.end());
            }
            add(hnorm_layer_gamma_grad(layer)), add(hnorm_layer_beta_grad(layer));
            return result;
        };
        Layer alone(kChannels, options), first(kChannels, options), second(kChannels, options),
            third(kChannels, options);
        const std::vector<char> expected = steps(alone);
        REQUIRE(!expected.empty());
        std::atomic<int> wrong{0};
        std::vector<std::thread> threads;
        for (hnorm_layer *layer :
             {first.operator hnorm_layer *(), second.operator hnorm_layer *(), third.operator hnorm_layer *()})
            threads.emplace_back([&, layer] { wrong += !same_bits(steps(layer), expected); });
        for (std::thread &thread : threads) thread.join();
        REQUIRE(wrong == 0);
    }
}

TEST_CASE("evaluation on many threads leaves one of its tensors as the latest") {
    Layer layer(kChannels);
    REQUIRE(hnorm_layer_train(layer, 0) == HNORM_OK);
    Step steps[4];
    std::vector<std::thread> threads;
    std::atomic<int> failed{0};
    for (Step &step : steps)
        threads.emplace_back([&] {
            for (int repeat = 0; repeat < 200; repeat++)
                failed += hnorm_layer_forward(layer, &step.x, &step.y) != HNORM_OK;
        });
    for (std::thread &thread : threads) thread.join();
    REQUIRE(failed == 0);
    int accepted = 0;
    for (Step &step : steps) accepted += hnorm_layer_backward(layer, &step.x, &step.dy, &step.dx) == HNORM_OK;
    REQUIRE(accepted == 1);
}
