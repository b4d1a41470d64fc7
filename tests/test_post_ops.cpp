// What may follow a normalization, through the public interface: a residual, an activation, their
// gradients, and refusals. (test_bits.cpp and test_backward_bits.cpp hold both to the
// transcription; here are known answers and the layers.)
#include "gradients.h"

#include <hnorm/hnorm.hpp>

#include <array>
#include <cmath>
#include <limits>

using namespace api;

namespace {

const float kInfinity = std::numeric_limits<float>::infinity();
const float kNan = std::numeric_limits<float>::quiet_NaN();

// (1, 1, 8), through normalize with mean 0, variance 1, eps 0 and no affine: z is x + residual.
struct Line {
    Elements x{{1, 1, 8}}, y{{1, 1, 8}}, residual{{1, 1, 8}, 0};

    hnorm_status normalize(hnorm_activation activation, float slope, bool with_residual) {
        const hnorm_tensor in = x.view(), out = y.view(), added = residual.view();
        const hnorm_post_ops post = {sizeof(hnorm_post_ops), activation, slope, with_residual ? &added : nullptr};
        const double mean = 0, variance = 1;
        return hnorm_normalize(&in, HNORM_BATCH, &mean, &variance, nullptr, 0, &post, &out);
    }
};

const std::vector<int64_t> kShape = {3, 4, 5, 7};

// A layer's step with a residual.
struct AddStep {
    BackwardCall c{kShape};
    Pair added{kShape, 77};  // residual and dresidual
    Elements y_values{kShape};
    hnorm_tensor y = y_values.view();

    hnorm_status forward(hnorm_layer *layer) { return hnorm_layer_forward_add(layer, &c.x, &added.in, &y); }
    hnorm_status backward(hnorm_layer *layer) {
        return hnorm_layer_backward_add(layer, &c.x, &y, &c.dy, &c.dx, &added.out);
    }
};

hnorm_layer_options with_relu(hnorm_group group) {
    hnorm_layer_options options = hnorm_layer_defaults(group);
    options.affine = 1;
    options.activation = HNORM_RELU;
    return options;
}

}  // namespace

TEST_CASE("ReLU cuts off what is below 0, and keeps NaN, infinities and zeros") {
    Line line;
    line.x.set({-2, 3, -0.0f, 0, kNan, kInfinity, -kInfinity, -1e-45f});
    REQUIRE(line.normalize(HNORM_RELU, kNan, false) == HNORM_OK);  // the slope is not read
    REQUIRE((line.y[0] == 0 && !std::signbit(line.y[0]) && line.y[1] == 3 && line.y[2] == 0 && line.y[3] == 0));
    REQUIRE((std::isnan(line.y[4]) && line.y[5] == kInfinity && line.y[6] == 0 && line.y[7] == 0));
}

TEST_CASE("leaky ReLU multiplies what is below 0 by its slope") {
    Line line;
    line.x.set({-2, 3, -0.0f, 0, kNan, kInfinity, -kInfinity, -8});
    REQUIRE(line.normalize(HNORM_LEAKY_RELU, 0.25f, false) == HNORM_OK);
    REQUIRE((line.y[0] == -0.5f && line.y[1] == 3 && line.y[2] == 0 && line.y[3] == 0));
    REQUIRE((std::isnan(line.y[4]) && line.y[5] == kInfinity && line.y[6] == -kInfinity && line.y[7] == -2));
}

TEST_CASE("the residual is added before the activation") {
    Line line;
    line.x.set({-2, 3, 1, 0, kNan, 1, 1, -8});
    line.residual.set({5, -4, -1, 0, 1, kNan, -kInfinity, 2});
    REQUIRE(line.normalize(HNORM_RELU, 0, true) == HNORM_OK);
    REQUIRE((line.y[0] == 3 && line.y[1] == 0 && line.y[2] == 0 && line.y[3] == 0));
    REQUIRE((std::isnan(line.y[4]) && std::isnan(line.y[5]) && line.y[6] == 0 && line.y[7] == 0));
    REQUIRE(line.normalize(HNORM_NO_ACTIVATION, 0, true) == HNORM_OK);
    REQUIRE((line.y[0] == 3 && line.y[1] == -1 && line.y[7] == -6));
}

TEST_CASE("the activation's gradient passes where y is above 0, and takes the slope's side at 0") {
    Elements y({1, 1, 8}), dy({1, 1, 8}), dz({1, 1, 8});
    y.set({-2, 3, 0, -0.0f, kNan, 1, -1, 2});
    dy.set({1, 2, 3, 4, 5, kNan, kInfinity, kInfinity});
    const hnorm_tensor of_y = y.view(), of_dy = dy.view(), of_dz = dz.view();
    REQUIRE(hnorm_activation_backward(&of_y, &of_dy, HNORM_RELU, 0, &of_dz) == HNORM_OK);
    REQUIRE((dz[0] == 0 && dz[1] == 2 && dz[2] == 0 && dz[3] == 0 && dz[4] == 0));
    REQUIRE((std::isnan(dz[5]) && dz[6] == 0 && dz[7] == kInfinity));
    REQUIRE(hnorm_activation_backward(&of_y, &of_dy, HNORM_LEAKY_RELU, 0.5f, &of_dz) == HNORM_OK);
    REQUIRE((dz[0] == 0.5f && dz[1] == 2 && dz[2] == 1.5f && dz[3] == 2 && dz[6] == kInfinity));
    // in place of either
    const Elements expected = dz, before = y;
    REQUIRE(hnorm_activation_backward(&of_y, &of_dy, HNORM_LEAKY_RELU, 0.5f, &of_y) == HNORM_OK);
    REQUIRE(same_bits(y, expected));
    y = before;
    REQUIRE(hnorm_activation_backward(&of_y, &of_dy, HNORM_LEAKY_RELU, 0.5f, &of_dy) == HNORM_OK);
    REQUIRE(same_bits(dy, expected));
}

TEST_CASE("distributed backward with post-ops: dz is dy for the functions of sums") {
    for (hnorm_group group : {HNORM_BATCH, HNORM_INSTANCE}) {
        BackwardCall c(kShape, group), whole(kShape, group);
        Pair y(kShape, 5), dz(kShape, 6);
        const hnorm_post_ops_gradient post = {sizeof(hnorm_post_ops_gradient), HNORM_RELU, 0, &y.in, nullptr};
        whole.post = &post;
        REQUIRE(whole.backward() == HNORM_OK);
        REQUIRE(hnorm_activation_backward(&y.in, &c.dy, HNORM_RELU, 0, &dz.out) == HNORM_OK);
        c.dy = dz.out;
        REQUIRE(c.reduce() == HNORM_OK);
        c.sum_dy_given = c.sum_dy, c.sum_dy_xmu_given = c.sum_dy_xmu;
        REQUIRE(c.apply() == HNORM_OK);
        REQUIRE(same_bits(c.dx_values(), whole.dx_values()));
    }
}

TEST_CASE("a layer's activation and residual are those of the functions, forward and backward") {
    for (hnorm_group group : {HNORM_BATCH, HNORM_INSTANCE}) {
        INFO("group " << group);
        const hnorm_layer_options options = with_relu(group);
        Layer layer(kShape[1], options);
        AddStep step, other;
        REQUIRE(step.forward(layer) == HNORM_OK);
        REQUIRE(step.backward(layer) == HNORM_OK);
        const hnorm_post_ops post = {sizeof(hnorm_post_ops), HNORM_RELU, 0, &other.added.in};
        const hnorm_post_ops_gradient gradient = {sizeof(hnorm_post_ops_gradient), HNORM_RELU, 0, &other.y,
                                                  &other.added.out};
        BackwardCall &c = other.c;
        c.group = group;
        c.mean.resize(12), c.variance.resize(12);
        REQUIRE(hnorm_forward(&c.x, group, nullptr, options.eps, &post, &other.y, c.mean.data(), c.variance.data()) ==
                HNORM_OK);
        REQUIRE(same_bits(step.y_values, other.y_values));
        c.affine = hnorm_affine_of(nullptr, nullptr);
        c.post = &gradient;
        REQUIRE(c.backward() == HNORM_OK);
        REQUIRE(same_bits(step.c.dx_values(), c.dx_values()));
        REQUIRE(same_bits(step.added.y, other.added.y));
        for (size_t i = 0; i < 4; i++) {
            REQUIRE(hnorm_layer_gamma_grad(layer)[i] == c.dgamma[i]);
            REQUIRE(hnorm_layer_beta_grad(layer)[i] == c.dbeta[i]);
        }
        // and without a residual
        REQUIRE(hnorm_layer_forward(layer, &step.c.x, &step.y) == HNORM_OK);
        REQUIRE(hnorm_layer_backward(layer, &step.c.x, &step.c.dy, &step.c.dx) == HNORM_OK);
        const hnorm_post_ops_gradient alone = {sizeof(hnorm_post_ops_gradient), HNORM_RELU, 0, nullptr, nullptr};
        c.post = &alone;
        REQUIRE(c.backward() == HNORM_OK);
        REQUIRE(same_bits(step.c.dx_values(), c.dx_values()));
    }
}

TEST_CASE("y may be the residual's memory, and dresidual may be dy's") {
    Layer layer(kShape[1], with_relu(HNORM_BATCH));
    AddStep apart, in_place;
    REQUIRE(apart.forward(layer) == HNORM_OK);
    REQUIRE(apart.backward(layer) == HNORM_OK);
    in_place.y = in_place.added.in;
    REQUIRE(in_place.forward(layer) == HNORM_OK);
    REQUIRE(same_bits(in_place.added.x, apart.y_values));
    REQUIRE(hnorm_layer_backward_add(layer, &in_place.c.x, &in_place.y, &in_place.c.dy, &in_place.c.dx,
                                     &in_place.c.dy) == HNORM_OK);
    REQUIRE(same_bits(in_place.c.dx_values(), apart.c.dx_values()));
    REQUIRE(same_bits(in_place.c.out.x, apart.added.y));
}

TEST_CASE("after evaluation with running statistics a layer's gradients go through its activation") {
    Layer layer(kShape[1], with_relu(HNORM_BATCH));
    AddStep step, other;
    REQUIRE(hnorm_layer_train(layer, 0) == HNORM_OK);  // mean 0, variance 1
    REQUIRE(step.forward(layer) == HNORM_OK);
    REQUIRE(step.backward(layer) == HNORM_OK);
    const double scale = 1 / std::sqrt(1 + 1e-5);
    for (size_t i = 0; i < step.y_values.size(); i++) {
        const float dz = step.y_values[i] > 0 ? step.c.out.x[i] : 0;
        REQUIRE(step.added.y[i] == dz);
        REQUIRE(step.c.dx_values()[i] == test::rounded(dz * static_cast<float>(scale)));
    }
}

TEST_CASE("each backward of a layer refuses the other's forward") {
    Layer layer(kShape[1], with_relu(HNORM_BATCH));
    AddStep step;
    REQUIRE(step.forward(layer) == HNORM_OK);
    require_refused(hnorm_layer_backward(layer, &step.c.x, &step.c.dy, &step.c.dx), HNORM_INVALID_ARGUMENT,
                    {"hnorm_layer_backward: ", "had a residual", "hnorm_layer_backward_add"});
    REQUIRE(hnorm_layer_forward(layer, &step.c.x, &step.y) == HNORM_OK);
    require_refused(step.backward(layer), HNORM_INVALID_ARGUMENT,
                    {"hnorm_layer_backward_add: ", "had no residual", "hnorm_layer_backward"});
    REQUIRE(step.c.untouched());
    REQUIRE(all_are(step.added.y, kSentinel));
}

TEST_CASE("bad activations are refused") {
    Line line;
    line.x.fill(1);
    for (const float slope : {-0.5f, kInfinity, kNan})
        require_refused(line.normalize(HNORM_LEAKY_RELU, slope, false), HNORM_INVALID_ARGUMENT,
                        {"hnorm_normalize: post.negative_slope is", "finite and 0 or more"});
    require_refused(line.normalize(static_cast<hnorm_activation>(3), 0, false), HNORM_INVALID_ARGUMENT,
                    {"post.activation is 3", "HNORM_LEAKY_RELU (2)"});
    REQUIRE(all_are(line.y, kSentinel));
    hnorm_layer_options options = hnorm_layer_defaults(HNORM_BATCH);
    options.activation = HNORM_LEAKY_RELU, options.negative_slope = -1;
    hnorm_layer *layer = nullptr;
    require_refused(hnorm_layer_create(4, &options, &layer), HNORM_INVALID_ARGUMENT, {"options.negative_slope is -1"});
}

TEST_CASE("bad residuals are refused", "[cpu]") {
    Pair pair(kShape), other(kShape, 9);
    hnorm_tensor residual = other.in;
    const hnorm_post_ops post = {sizeof(hnorm_post_ops), HNORM_NO_ACTIVATION, 0, &residual};
    std::vector<double> mean(4), variance(4);
    const auto refused = [&](const std::vector<std::string> &words, hnorm_status status = HNORM_INVALID_ARGUMENT) {
        require_refused(
            hnorm_forward(&pair.in, HNORM_BATCH, nullptr, 1e-5, &post, &pair.out, mean.data(), variance.data()), status,
            words);
        REQUIRE(all_are(pair.y, kSentinel));
        residual = other.in;
    };
    residual.shape[1] = 2;
    refused({"hnorm_forward: post.residual.shape is (3, 2, 5, 7) but x.shape is (3, 4, 5, 7)"});
    residual.data = nullptr;
    refused({"post.residual.data is null"});
    residual.rank = 7;
    refused({"post.residual.rank is 7"});
    residual.data = pair.y.data(1);
    residual.shape[0] = 3;
    refused({"y overlaps post.residual"});
    Layer layer(4);
    require_refused(hnorm_layer_forward_add(layer, &pair.in, nullptr, &pair.out), HNORM_INVALID_ARGUMENT,
                    {"hnorm_layer_forward_add: residual is null"});
}

TEST_CASE("backward's post-ops are refused where they cannot be what they must be", "[cpu]") {
    BackwardCall c(kShape);
    Pair y(kShape, 5), to(kShape, 6);
    hnorm_post_ops_gradient post = {sizeof(hnorm_post_ops_gradient), HNORM_RELU, 0, &y.in, &to.out};
    const auto refused = [&](const std::vector<std::string> &words) {
        c.post = &post;
        require_refused(c.backward(), HNORM_INVALID_ARGUMENT, words);
        require_refused(c.normalize_backward(), HNORM_INVALID_ARGUMENT, words);
        REQUIRE(c.untouched());
        REQUIRE(all_are(to.y, kSentinel));
        post = {sizeof post, HNORM_RELU, 0, &y.in, &to.out};
    };
    post.y = nullptr;
    refused({"post.y is null but post.dresidual is not"});
    post.dresidual = &c.x;
    refused({"post.dresidual", "overlaps x"});
    post.dresidual = &c.dx;
    refused({"post.dresidual", "overlaps dx"});
    post.dresidual = &y.in;
    refused({"post.dresidual", "overlaps post.y"});
    post.y = &c.dx;
    refused({"dx", "overlaps post.y"});
    hnorm_tensor shifted = c.dy;
    shifted.data = c.out.x.data(1);
    post.dresidual = &shifted;
    refused({"post.dresidual overlaps dy, 1 elements from its start"});
    post.activation = static_cast<hnorm_activation>(-1);
    refused({"post.activation is -1"});
    require_refused(hnorm_normalize_backward(nullptr, &c.dy, HNORM_BATCH, c.mean.data(), c.variance.data(), nullptr, 0,
                                             std::array<hnorm_post_ops_gradient, 1>{
                                                 {{sizeof(hnorm_post_ops_gradient), HNORM_RELU, 0, nullptr, nullptr}}}
                                                 .data(),
                                             &c.dx, nullptr, nullptr),
                    HNORM_INVALID_ARGUMENT, {"x is null and post.activation is 1"});
    Layer layer(kShape[1], with_relu(HNORM_BATCH));
    AddStep step;
    REQUIRE(step.forward(layer) == HNORM_OK);
    require_refused(hnorm_layer_backward_add(layer, &step.c.x, nullptr, &step.c.dy, &step.c.dx, nullptr),
                    HNORM_INVALID_ARGUMENT, {"hnorm_layer_backward_add: y is null"});
}

TEST_CASE("C++: post-ops and layers with an activation are the C ones") {
    AddStep c_step, step;
    Layer c_layer(kShape[1], with_relu(HNORM_BATCH));
    REQUIRE(c_step.forward(c_layer) == HNORM_OK);
    REQUIRE(c_step.backward(c_layer) == HNORM_OK);
    const hnorm::Tensor x(step.c.x), residual(step.added.in), y(step.y), dy(step.c.dy), dx(step.c.dx),
        dresidual(step.added.out);
    hnorm::BatchNorm layer(kShape[1], hnorm::Options().relu());
    layer.forward_add(x, residual, y);
    layer.backward_add(x, y, dy, dx, dresidual);
    REQUIRE(same_bits(step.y_values, c_step.y_values));
    REQUIRE(same_bits(step.c.dx_values(), c_step.c.dx_values()));
    REQUIRE(same_bits(step.added.y, c_step.added.y));
    step.c.clear();
    step.added.y.fill(kSentinel);
    std::vector<double> mean(4), variance(4);
    hnorm::forward(x, hnorm::Group::batch, {}, 1e-5, y, mean, variance, hnorm::PostOps().residual(residual).relu());
    hnorm::backward(x, dy, hnorm::Group::batch, mean, variance, {}, 1e-5, dx, nullptr, nullptr,
                    hnorm::PostOpsGradient().y(y).dresidual(dresidual).relu());
    REQUIRE(same_bits(step.y_values, c_step.y_values));
    REQUIRE(same_bits(step.c.dx_values(), c_step.c.dx_values()));
    REQUIRE(same_bits(step.added.y, c_step.added.y));
    Elements dz(kShape);
    hnorm::activation_backward(y, dy, 0, hnorm::Tensor(dz.view()));
    REQUIRE(same_bits(dz, c_step.added.y));
    REQUIRE_THROWS_AS(hnorm::BatchNorm(4, hnorm::Options().leaky_relu(-1)), hnorm::Error);
}
