// Layers over training steps and one in evaluation: outputs, gradients and running statistics
// against PyTorch's, as make_golden.py wrote them down, and against their definition
// (layer_reference.h) on the values that the tensors hold.
//
// PyTorch's numbers are those of floats. Rounded to 16 bits the inputs are others and so is what
// PyTorch gives for them: there the definition stands for it, which the runs with f32 hold to
// PyTorch's numbers by the same checks.
#include "catch.hpp"
#include "layer_reference.h"

#include <cmath>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <type_traits>
#include <vector>

using namespace api;

namespace {

// make_golden.py's shape, steps and seeds
const std::vector<int64_t> kShape = {3, 2, 3, 3};
constexpr int kSteps = 10;

using Values = std::vector<double>;
using Run = std::map<std::string, Values>;  // by "STEP WHAT"

// By "LAYER AFFINE MOMENTUM".
std::map<std::string, Run> read_golden() {
    std::map<std::string, Run> runs;
    std::ifstream file(HNORM_GOLDEN_LAYERS);
    for (std::string text; std::getline(file, text);) {
        std::istringstream line(text);
        std::string layer, affine, momentum, step, what;
        line >> layer >> affine >> momentum >> step >> what;
        Values &values = runs[layer + " " + affine + " " + momentum][step + " " + what];
        for (double value; line >> value;) values.push_back(value);
    }
    return runs;
}

// Of a step; what is empty is not known.
struct Results {
    std::vector<float> y, dx;
    std::vector<double> running_mean, running_var;
    std::vector<float> gamma_grad, beta_grad;  // of all steps so far
};

Results of_layer(hnorm_layer *layer, const Elements &y, const Elements &dx) {
    const size_t channels = static_cast<size_t>(hnorm_layer_num_features(layer));
    const auto list = [&](auto *values) {
        return values ? std::vector(values, values + channels)
                      : std::vector<std::remove_reference_t<decltype(*values)>>();
    };
    return {y.values(),
            dx.values(),
            list(hnorm_layer_running_mean(layer)),
            list(hnorm_layer_running_var(layer)),
            list(hnorm_layer_gamma_grad(layer)),
            list(hnorm_layer_beta_grad(layer))};
}

// Empty where it was not written down, as y and dx of most steps.
Values of_pytorch(const Run &golden, int step, const char *what) {
    const auto line = golden.find(std::to_string(step) + " " + what);
    return line == golden.end() ? Values() : line->second;
}

Results of_pytorch(const Run &golden, int step) {
    const auto floats = [&](const char *what) {
        const Values values = of_pytorch(golden, step, what);
        return std::vector<float>(values.begin(), values.end());
    };
    return {floats("y"),
            floats("dx"),
            of_pytorch(golden, step, "running_mean"),
            of_pytorch(golden, step, "running_var"),
            floats("gamma_grad"),
            floats("beta_grad")};
}

// What each step gives by definition.
class Definition {
public:
    Definition(const hnorm_layer_options &options, int64_t channels) : options_(options), running_(options, channels) {}

    // Evaluation is held to the statistics that it normalizes with.
    void step(const Elements &x, const Elements &dy, hnorm_layer *layer, bool training) {
        x_ = std::make_unique<test::Tensor>(as_tensor(x));
        affine_ = std::make_unique<test::Affine>(affine_of(layer, *x_));
        group_ = training ? options_.group : HNORM_BATCH;
        statistics_ = test::references(*x_, group_);
        if (training) running_.step(*x_);
        for (size_t c = 0; !training && c < statistics_.size(); c++)
            statistics_[c] = {0, hnorm_layer_running_mean(layer)[c], hnorm_layer_running_var(layer)[c]};
        gradients_ =
            test::reference_gradients(*x_, as_tensor(dy), group_, statistics_, !training, *affine_, options_.eps);
        add(gamma_grad_, gradients_.dgamma), add(gamma_size_, gradients_.dgamma_size);
        add(beta_grad_, gradients_.dbeta), add(beta_size_, gradients_.dbeta_size);
        steps_++;
    }

    // Of the latest step.
    void require(const Results &found) const {
        running_.require(found.running_mean.data(), found.running_var.data());
        if (!found.y.empty())
            within(test::kTolerance, test::worst_y(*x_, group_, statistics_, *affine_, options_.eps, like_x(found.y)));
        if (!found.dx.empty())
            within(test::kGradientTolerance, test::worst_dx(*x_, group_, gradients_, like_x(found.dx)));
        // A sum over steps is a float after each.
        const double tolerance = test::kGradientTolerance + steps_ * test::kUnit;
        const std::vector<long double> exactly(gamma_grad_.size(), 0);
        within(tolerance, test::worst_parameter(found.gamma_grad, gamma_grad_, gamma_size_, exactly));
        within(tolerance, test::worst_parameter(found.beta_grad, beta_grad_, beta_size_, exactly));
    }

private:
    static void add(std::vector<long double> &sums, const std::vector<long double> &values) {
        sums.resize(values.size());
        for (size_t i = 0; i < values.size(); i++) sums[i] += values[i];
    }
    static void within(double tolerance, const test::Worst &worst) {
        INFO(worst.where);
        REQUIRE(worst.error <= tolerance);
    }
    test::Tensor like_x(const std::vector<float> &values) const { return as_tensor(x_->shape(), values); }

    const hnorm_layer_options options_;
    RunningStatistics running_;
    std::unique_ptr<test::Tensor> x_;
    std::unique_ptr<test::Affine> affine_;
    hnorm_group group_ = HNORM_BATCH;
    test::References statistics_;
    reference::Gradients gradients_;
    std::vector<long double> gamma_grad_, gamma_size_, beta_grad_, beta_size_;  // of all steps
    int steps_ = 0;
};

// A new layer takes `steps` training steps (1, 2, ...) and one in evaluation (0): check(step,
// results, definition) of each.
template <typename Check>
void run(const hnorm_layer_options &options, const std::vector<int64_t> &shape, int steps, Check check) {
    const int64_t channels = shape[1];
    Layer layer(channels, options);
    if (options.affine) {
        std::vector<float> values(static_cast<size_t>(channels));
        fill(values, 301);
        std::copy(values.begin(), values.end(), hnorm_layer_gamma(layer));
        fill(values, 302);
        std::copy(values.begin(), values.end(), hnorm_layer_beta(layer));
    }
    Definition definition(options, channels);
    for (int i = 1; i <= steps + 1; i++) {
        const int step = i <= steps ? i : 0;
        INFO("step " << step);
        REQUIRE(hnorm_layer_train(layer, step != 0) == HNORM_OK);
        Pair forward(shape, static_cast<uint32_t>(100 + step)), backward(shape, static_cast<uint32_t>(200 + step));
        std::vector<float> x(forward.x.size());
        fill(x, static_cast<uint32_t>(100 + step));
        for (float &value : x) value += 0.5f;
        forward.x.set(x);
        REQUIRE(hnorm_layer_forward(layer, &forward.in, &forward.out) == HNORM_OK);
        REQUIRE(hnorm_layer_backward(layer, &forward.in, &backward.in, &backward.out) == HNORM_OK);
        definition.step(forward.x, backward.x, layer, step != 0);
        check(step, of_layer(layer, forward.y, backward.y), definition);
    }
}

template <typename T>
void check(const Run &golden, int step, const char *what, const std::vector<T> &found, double size = 1) {
    const Values expected = of_pytorch(golden, step, what);
    for (size_t i = 0; i < expected.size(); i++) {
        INFO(what << "[" << i << "]: " << found[i] << ", PyTorch " << expected[i]);
        CHECK(std::fabs(static_cast<double>(found[i]) - expected[i]) <= 1e-6 * size);
    }
}

void check_run(const std::string &name, const Run &golden) {
    std::istringstream words(name);
    std::string group, momentum;
    int affine;
    words >> group >> affine >> momentum;
    INFO(name);
    hnorm_layer_options options = hnorm_layer_defaults(group == "batch" ? HNORM_BATCH : HNORM_INSTANCE);
    options.affine = affine;
    options.track_running_stats = 1;
    options.cumulative = momentum == "none";
    if (!options.cumulative) options.momentum = std::stod(momentum);
    run(options, kShape, kSteps, [&](int step, const Results &found, const Definition &definition) {
        definition.require(found);
        if (test::tensor_format().type != HNORM_F32) return;
        definition.require(of_pytorch(golden, step));
        check(golden, step, "y", found.y);
        check(golden, step, "dx", found.dx, 2);  // max |gamma*invstd*dy| is about that
        check(golden, step, "running_mean", found.running_mean);
        check(golden, step, "running_var", found.running_var);
        // sums over up to 11 steps of 27 elements
        check(golden, step, "gamma_grad", found.gamma_grad, 10);
        check(golden, step, "beta_grad", found.beta_grad, 10);
    });
}

}  // namespace

TEST_CASE("layers give PyTorch's outputs, gradients and running statistics over ten steps") {
    const std::map<std::string, Run> runs = read_golden();
    REQUIRE(runs.size() == 10);
    for (const auto &[name, golden] : runs) {
        REQUIRE(golden.size() == (name.find(" 1 ") == std::string::npos ? 28u : 50u));
        check_run(name, golden);
    }
}

TEST_CASE("layers follow their definition in every class of planes, with few channels and many") {
    const std::vector<std::vector<int64_t>> shapes = {{17, 5},         {6, 3, 5},        {2, 20, 2, 5},
                                                      {3, 4, 6, 7},    {2, 33, 3, 4, 5}, {3, 3, 24, 25},
                                                      {2, 17, 33, 34}, {1, 2, 70, 71}};
    for (const std::vector<int64_t> &shape : shapes) {
        for (hnorm_group group : {HNORM_BATCH, HNORM_INSTANCE}) {
            if (shape.size() == 2 && group == HNORM_INSTANCE) continue;  // groups of one element
            for (int affine : {0, 1}) {
                hnorm_layer_options options = hnorm_layer_defaults(group);
                options.track_running_stats = 1;
                options.affine = affine;
                INFO(test::to_string(shape) << ", group " << group << ", affine " << affine);
                run(options, shape, 2,
                    [](int, const Results &found, const Definition &definition) { definition.require(found); });
            }
        }
    }
}
