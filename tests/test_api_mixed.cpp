// Tensors of one call have one type and one layout: every function refuses every tensor of another,
// by its name, and writes nothing.
#include "api.h"

using namespace api;

namespace {

const std::vector<int64_t> kShape = {2, 3, 4, 5};

// Good arguments for every function. The layers' latest forward was of x: with a residual, and
// without.
struct Call {
    Call() {
        REQUIRE(hnorm_layer_forward(plain, &x, &y) == HNORM_OK);
        REQUIRE(hnorm_layer_forward_add(with_residual, &x, &residual, &y) == HNORM_OK);
    }

    static hnorm_layer_options relu() {
        hnorm_layer_options options = hnorm_layer_defaults(HNORM_BATCH);
        options.activation = HNORM_RELU;
        return options;
    }
    // Everything that a function may write.
    std::vector<std::vector<char>> written() {
        std::vector<std::vector<char>> result = {in.x.bytes(),          in.y.bytes(),  of_residual.x.bytes(),
                                                 of_residual.y.bytes(), out.x.bytes(), out.y.bytes()};
        const auto add = [&](const auto *values, size_t count) {
            const char *const bytes = reinterpret_cast<const char *>(values);
            result.emplace_back(bytes, bytes + count * sizeof *values);
        };
        for (hnorm_layer *layer : {plain.operator hnorm_layer *(), with_residual.operator hnorm_layer *()}) {
            add(hnorm_layer_gamma_grad(layer), 3), add(hnorm_layer_beta_grad(layer), 3);
            add(hnorm_layer_running_mean(layer), 3), add(hnorm_layer_running_var(layer), 3);
            add(hnorm_layer_num_batches_tracked(layer), 1);
        }
        for (const std::vector<double> *list : {&mean, &variance, &sum_dy, &sum_dy_xmu}) add(list->data(), 3);
        for (const std::vector<float> *list : {&dgamma, &dbeta}) add(list->data(), 3);
        return result;
    }

    Pair in{kShape, 1}, of_residual{kShape, 2}, out{kShape, 3};
    hnorm_tensor x = in.in, y = in.out, residual = of_residual.in, dresidual = of_residual.out, dy = out.in,
                 dx = out.out;
    std::vector<double> count{40, 40, 40}, mean{0, 0.5, -0.5}, variance{1, 2, 3}, sum_dy{1, 2, 3}, sum_dy_xmu{3, 2, 1};
    std::vector<float> mean_f{0, 0.5f, -0.5f}, variance_f{1, 2, 3}, dgamma{0, 0, 0}, dbeta{0, 0, 0};
    hnorm_post_ops post = {sizeof(hnorm_post_ops), HNORM_RELU, 0, &residual};
    hnorm_post_ops_gradient post_gradient = {sizeof(hnorm_post_ops_gradient), HNORM_RELU, 0, &y, &dresidual};
    Layer plain{3, relu()}, with_residual{3, relu()};
};

// A tensor of a function, and the one that it is compared with.
struct Argument {
    const char *name;
    hnorm_tensor Call::*tensor;
    const char *other;
};
const Argument kY = {"y", &Call::y, "x"}, kDy = {"dy", &Call::dy, "x"}, kDx = {"dx", &Call::dx, "x"};

struct Mixing {
    const char *function;
    std::vector<Argument> arguments;
    std::function<hnorm_status(Call &)> call;
};

const std::vector<Mixing> &functions() {
    static const std::vector<Mixing> all = {
        {"hnorm_forward",
         {kY, {"post.residual", &Call::residual, "x"}},
         [](Call &c) {
             return hnorm_forward(&c.x, HNORM_BATCH, nullptr, 1e-5, &c.post, &c.y, c.mean.data(), c.variance.data());
         }},
        {"hnorm_normalize",
         {kY, {"post.residual", &Call::residual, "x"}},
         [](Call &c) {
             return hnorm_normalize(&c.x, HNORM_BATCH, c.mean.data(), c.variance.data(), nullptr, 1e-5, &c.post, &c.y);
         }},
        {"hnorm_batch_normalization",
         {kY},
         [](Call &c) {
             return hnorm_batch_normalization(&c.x, 3, c.mean_f.data(), c.variance_f.data(), nullptr, nullptr, 1e-3,
                                              &c.y);
         }},
        {"hnorm_layer_forward", {kY}, [](Call &c) { return hnorm_layer_forward(c.plain, &c.x, &c.y); }},
        {"hnorm_layer_forward_add",
         {kY, {"residual", &Call::residual, "x"}},
         [](Call &c) { return hnorm_layer_forward_add(c.with_residual, &c.x, &c.residual, &c.y); }},
        {"hnorm_backward_reduce",
         {kDy},
         [](Call &c) {
             return hnorm_backward_reduce(&c.x, &c.dy, HNORM_BATCH, c.mean.data(), c.sum_dy.data(),
                                          c.sum_dy_xmu.data());
         }},
        {"hnorm_backward_apply",
         {kDy, kDx},
         [](Call &c) {
             return hnorm_backward_apply(&c.x, &c.dy, HNORM_BATCH, c.count.data(), c.mean.data(), c.variance.data(),
                                         c.sum_dy.data(), c.sum_dy_xmu.data(), nullptr, 1e-5, &c.dx);
         }},
        {"hnorm_backward",
         {kDy, kDx, {"post.y", &Call::y, "dy"}, {"post.dresidual", &Call::dresidual, "dy"}},
         [](Call &c) {
             return hnorm_backward(&c.x, &c.dy, HNORM_BATCH, c.mean.data(), c.variance.data(), nullptr, 1e-5,
                                   &c.post_gradient, &c.dx, c.dgamma.data(), c.dbeta.data());
         }},
        {"hnorm_normalize_backward",
         {kDy, kDx, {"post.y", &Call::y, "dy"}, {"post.dresidual", &Call::dresidual, "dy"}},
         [](Call &c) {
             return hnorm_normalize_backward(&c.x, &c.dy, HNORM_BATCH, c.mean.data(), c.variance.data(), nullptr, 1e-5,
                                             &c.post_gradient, &c.dx, c.dgamma.data(), c.dbeta.data());
         }},
        {"hnorm_layer_backward", {kDy, kDx}, [](Call &c) { return hnorm_layer_backward(c.plain, &c.x, &c.dy, &c.dx); }},
        {"hnorm_layer_backward_add",
         {kDy, kDx, {"y", &Call::y, "dy"}, {"dresidual", &Call::dresidual, "dy"}},
         [](Call &c) { return hnorm_layer_backward_add(c.with_residual, &c.x, &c.y, &c.dy, &c.dx, &c.dresidual); }},
        {"hnorm_activation_backward",
         {{"dy", &Call::dy, "y"}, {"dz", &Call::dx, "y"}},
         [](Call &c) { return hnorm_activation_backward(&c.y, &c.dy, HNORM_RELU, 0, &c.dx); }},
    };
    return all;
}

const char *name(hnorm_type type) {
    return type == HNORM_F32 ? "HNORM_F32" : type == HNORM_F16 ? "HNORM_F16" : "HNORM_BF16";
}

// Calls check(function, argument, false) for every tensor of every function but the one that the
// others are compared with, and check(function, argument, true) for that one: the argument is named
// and it is the other.
template <typename Check>
void for_each_argument(const Check &check) {
    for (const Mixing &mixing : functions()) {
        Call good;
        const hnorm_status status = mixing.call(good);
        INFO(mixing.function << ": " << hnorm_last_error());
        REQUIRE(status == HNORM_OK);
        for (const Argument &argument : mixing.arguments) {
            INFO(argument.name);
            check(mixing, argument, false);
        }
        const std::string first = mixing.arguments[0].other;
        INFO(first);
        check(mixing, {mixing.arguments[0].name, first == "x" ? &Call::x : &Call::y, first.c_str()}, true);
    }
}

void require_refused_untouched(const Mixing &mixing, Call &call, std::vector<std::string> words) {
    const std::vector<std::vector<char>> before = call.written();
    words.push_back(std::string(mixing.function) + ": ");
    require_refused(mixing.call(call), HNORM_INVALID_ARGUMENT, words);
    REQUIRE(call.written() == before);
}

}  // namespace

TEST_CASE("a tensor of another type than the call's others is refused by its name") {
    for_each_argument([](const Mixing &mixing, const Argument &argument, bool first) {
        const hnorm_type own = test::tensor_format().type;
        for (hnorm_type type : {HNORM_F32, HNORM_F16, HNORM_BF16}) {
            if (type == own) continue;
            Call call;
            (call.*argument.tensor).type = type;
            require_refused_untouched(mixing, call,
                                      {std::string(argument.name) + ".type is " + name(first ? own : type) + " but " +
                                           argument.other + ".type is " + name(first ? type : own),
                                       "they must be equal"});
        }
    });
}

TEST_CASE("a tensor of another layout than the call's others is refused by its name") {
    for_each_argument([](const Mixing &mixing, const Argument &argument, bool first) {
        const bool last = test::tensor_format().channels_last;
        Call call;
        hnorm_tensor &tensor = call.*argument.tensor;
        tensor = hnorm_dense(tensor.data, tensor.type, !last, tensor.rank, tensor.shape);
        const std::string layouts[] = {" is channels-first", " is channels-last"};
        require_refused_untouched(
            mixing, call,
            {argument.name + layouts[first ? last : !last] + " but " + argument.other + layouts[first ? !last : last],
             "must be the same"});
    });
}
