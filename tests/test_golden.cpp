// Layers against PyTorch: outputs, gradients and running statistics over ten training steps and one in evaluation, as
// make_golden.py wrote them down.
#include "api.h"
#include "catch.hpp"

#include <cmath>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
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

template <typename T>
void check(const Run &golden, int step, const char *what, const T *found, double size = 1) {
    const auto line = golden.find(std::to_string(step) + " " + what);
    if (line == golden.end()) return;  // written down for some steps only
    for (size_t i = 0; i < line->second.size(); i++) {
        INFO("step " << step << ", " << what << "[" << i << "]: " << found[i] << ", PyTorch " << line->second[i]);
        CHECK(std::fabs(static_cast<double>(found[i]) - line->second[i]) <= 1e-6 * size);
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
    const int64_t channels = kShape[1];
    Layer layer(channels, options);
    if (affine) {
        std::vector<float> values(static_cast<size_t>(channels));
        fill(values, 301);
        std::copy(values.begin(), values.end(), hnorm_layer_gamma(layer));
        fill(values, 302);
        std::copy(values.begin(), values.end(), hnorm_layer_beta(layer));
    }
    for (int i = 1; i <= kSteps + 1; i++) {
        const int step = i <= kSteps ? i : 0;  // 0: in evaluation
        REQUIRE(hnorm_layer_train(layer, step != 0) == HNORM_OK);
        Pair forward(kShape, static_cast<uint32_t>(100 + step)), backward(kShape, static_cast<uint32_t>(200 + step));
        for (float &value : forward.x) value += 0.5f;
        REQUIRE(hnorm_layer_forward(layer, &forward.in, &forward.out) == HNORM_OK);
        REQUIRE(hnorm_layer_backward(layer, &forward.in, &backward.in, &backward.out) == HNORM_OK);
        check(golden, step, "y", forward.y.data());
        check(golden, step, "dx", backward.y.data(), 2);  // max |gamma*invstd*dy| is about that
        check(golden, step, "running_mean", hnorm_layer_running_mean(layer));
        check(golden, step, "running_var", hnorm_layer_running_var(layer));
        if (affine) {  // sums over up to 11 steps of 27 elements
            check(golden, step, "gamma_grad", hnorm_layer_gamma_grad(layer), 10);
            check(golden, step, "beta_grad", hnorm_layer_beta_grad(layer), 10);
        }
    }
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
