// Backward: the functions of hnorm.hpp that compute gradients.
#include "bindings.h"

namespace hnorm_python {
namespace {

using namespace nb::literals;

// The common part of backward and normalize_backward. x may be None in the latter.
template <typename Function>
nb::tuple gradients(Function function, nb::handle x_, nb::handle dy_, const Group &group, nb::handle mean_,
                    nb::handle variance_, nb::handle gamma_, nb::handle beta_, double eps, nb::handle dx_,
                    nb::handle dgamma_, nb::handle dbeta_, nb::handle activation, float slope, nb::handle y_,
                    nb::handle dresidual_) {
    const Optional x(x_, "x");
    const Array dy(dy_, "dy");
    const Output dx(dx_, "dx", dy, true);
    const Values<const double> mean(mean_, "mean", dy), variance(variance_, "variance", dy);
    const Values<const float> gamma(gamma_, "gamma", dy), beta(beta_, "beta", dy);
    const nb::handle parameter = gamma_.is_none() ? beta_ : gamma_;
    const Values<float> dgamma = gradient(dgamma_, "dgamma", parameter, dy);
    const Values<float> dbeta = gradient(dbeta_, "dbeta", parameter, dy);
    const Optional y(y_, "y"), dresidual(dresidual_, "dresidual", Access::write);
    const std::optional<hnorm::Tensor> to_residual =
        dresidual.get() ? std::optional<hnorm::Tensor>(*dresidual.get()->c()) : std::nullopt;
    hnorm::PostOpsGradient post;
    activate(post, activation, slope);
    if (y.get()) {
        post.y(*y.get());
    }
    if (to_residual) {
        post.dresidual(*to_residual);
    }
    compute(dy, [&, gradient = dy.tensor(), result = dx.if_wanted()] {
        function(x, gradient, group.value, mean.span(), variance.span(), hnorm::Affine{gamma.span(), beta.span()}, eps,
                 result, dgamma.span(), dbeta.span(), post);
    });
    return nb::make_tuple(dx.object(), dgamma.object(), dbeta.object());
}

nb::tuple backward(nb::handle x, nb::handle dy, const Group &group, nb::handle mean, nb::handle variance,
                   nb::handle gamma, nb::handle beta, double eps, nb::handle dx, nb::handle dgamma, nb::handle dbeta,
                   nb::handle activation, float slope, nb::handle y, nb::handle dresidual) {
    if (x.is_none()) {
        refuse("backward: x is None: only normalize_backward may go without it");
    }
    const auto call = [](const Optional &input, auto &&...arguments) { hnorm::backward(*input.get(), arguments...); };
    return gradients(call, x, dy, group, mean, variance, gamma, beta, eps, dx, dgamma, dbeta, activation, slope, y,
                     dresidual);
}

nb::tuple normalize_backward(nb::handle x, nb::handle dy, const Group &group, nb::handle mean, nb::handle variance,
                             nb::handle gamma, nb::handle beta, double eps, nb::handle dx, nb::handle dgamma,
                             nb::handle dbeta, nb::handle activation, float slope, nb::handle y, nb::handle dresidual) {
    const auto call = [](const Optional &input, auto &&...arguments) {
        hnorm::normalize_backward(input.get() ? std::optional<hnorm::ConstTensor>(*input.get()) : std::nullopt,
                                  arguments...);
    };
    return gradients(call, x, dy, group, mean, variance, gamma, beta, eps, dx, dgamma, dbeta, activation, slope, y,
                     dresidual);
}

nb::object activation_backward(nb::handle y_, nb::handle dy_, float negative_slope, nb::handle out) {
    const Array y(y_, "y"), dy(dy_, "dy");
    const Output dz(out, "out", dy);
    compute(y, [&, y_tensor = y.tensor(), dy_tensor = dy.tensor(), result = dz.tensor()] {
        hnorm::activation_backward(y_tensor, dy_tensor, negative_slope, result);
    });
    return dz.object();
}

nb::tuple backward_reduce(nb::handle x_, nb::handle dy_, const Group &group, nb::handle mean_) {
    const Array x(x_, "x"), dy(dy_, "dy");
    const Values<const double> mean(mean_, "mean", x);
    const std::vector<std::int64_t> shape = shape_of_groups(x, group);
    const std::size_t size = Values<double>(shape, "mean", x).span().size();
    if (mean.span().size() != size) {
        refuse("backward_reduce: mean holds " + std::to_string(mean.span().size()) + " values but must hold " +
               std::to_string(size));
    }
    const Values<double> sum_dy(shape, "sum_dy", x), sum_dy_xmu(shape, "sum_dy_xmu", x);
    compute(x, [&, x_tensor = x.tensor(), dy_tensor = dy.tensor()] {
        hnorm::header::require_ok(hnorm_backward_reduce(x_tensor.c(), dy_tensor.c(),
                                                        static_cast<hnorm_group>(group.value), mean.span().data(),
                                                        sum_dy.span().data(), sum_dy_xmu.span().data()));
    });
    return nb::make_tuple(sum_dy.object(), sum_dy_xmu.object());
}

nb::object backward_apply(nb::handle x_, nb::handle dy_, const Group &group, nb::handle count_, nb::handle mean_,
                          nb::handle variance_, nb::handle sum_dy_, nb::handle sum_dy_xmu_, nb::handle gamma_,
                          double eps, nb::handle dx_) {
    const Array x(x_, "x"), dy(dy_, "dy");
    const Output dx(dx_, "dx", dy);
    const Values<const double> count(count_, "count", x), mean(mean_, "mean", x), variance(variance_, "variance", x),
        sum_dy(sum_dy_, "sums.dy", x), sum_dy_xmu(sum_dy_xmu_, "sums.dy_xmu", x);
    const Values<const float> gamma(gamma_, "gamma", x);
    hnorm::header::check_on_cpu("backward_apply", x.tensor());  // before the sums are read
    const auto copy = [](const hnorm::Span<const double> &values) {
        return std::vector<double>(values.begin(), values.end());
    };
    const hnorm::BackwardSums sums{copy(sum_dy.span()), copy(sum_dy_xmu.span())};
    compute(x, [&, x_tensor = x.tensor(), dy_tensor = dy.tensor(), result = dx.tensor()] {
        hnorm::backward_apply(x_tensor, dy_tensor, group.value, count.span(), mean.span(), variance.span(), sums,
                              {gamma.span(), nullptr}, eps, result);
    });
    return dx.object();
}

#define GRADIENTS                                                                                        \
    "gamma: " VALUES " | None = None, beta: " VALUES " | None = None, eps: float = 1e-5, *, dx: " LIKE_X \
    " | bool | None = None, dgamma: " ARRAY " | bool | None = None, dbeta: " ARRAY                       \
    " | bool | None = None, activation: " ACTIVATION " = None, negative_slope: float = 0.01, y: " ARRAY  \
    " | None = None, dresidual: " ARRAY " | None = None) -> tuple[" LIKE_X " | None, typing.Any, typing.Any]"

template <typename Function>
void bind_gradients(nb::module_ &m, const char *name, Function function, const char *signature, const char *doc) {
    m.def(name, function, "x"_a.none(), "dy"_a, "group"_a, "mean"_a, "variance"_a, "gamma"_a = nb::none(),
          "beta"_a = nb::none(), "eps"_a = 1e-5, nb::kw_only(), "dx"_a = nb::none(), "dgamma"_a = nb::none(),
          "dbeta"_a = nb::none(), "activation"_a = nb::none(), "negative_slope"_a = 0.01f, "y"_a = nb::none(),
          "dresidual"_a = nb::none(), nb::sig(signature), doc);
}

}  // namespace

void bind_backward(nb::module_ &m) {
    bind_gradients(m, "backward", backward,
                   "def backward(x: " LIKE_X ", dy: " LIKE_X ", group: Group, mean: " VALUES ", variance: " VALUES
                   ", " GRADIENTS,
                   R"(Computes the gradients of forward, and returns (dx, dgamma, dbeta).

    invstd = 1 / sqrt(variance + eps)
    xhat   = (x - mean) * invstd
    dz     = dy times the slope of the activation
    g      = gamma * dz
    dx     = invstd * (g - average(g) - xhat * average(g * xhat))
    dgamma = sum(dz * xhat)
    dbeta  = sum(dz)

x, dy            of one shape, type and layout; dy is the gradient of the loss at y
mean, variance   one value a group, from forward
gamma, beta, eps, activation, negative_slope   those of forward
dx               receives the gradient of x; may be dy or x
dgamma, dbeta    receive the gradients, float32, as many as gamma has values
y                what forward wrote, if it added a residual and there is an activation
dresidual        receives the gradient of the residual; may be dy if dx is not

For dx, dgamma and dbeta None is a new array, and False says that it is not wanted: None is
returned in its place.

Raises Error if an argument is not valid, or if a group has one element.)");
    bind_gradients(m, "normalize_backward", normalize_backward,
                   "def normalize_backward(x: " LIKE_X " | None, dy: " LIKE_X ", group: Group, mean: " VALUES
                   ", variance: " VALUES ", " GRADIENTS,
                   R"(Computes the gradients of normalize, and returns (dx, dgamma, dbeta).

    dx = gamma * invstd * dz        mean and variance are constants

The rest is as in backward. x may be None if dgamma is False and the sign of the activation does
not depend on x.)");
    m.def("activation_backward", activation_backward, "y"_a, "dy"_a, "negative_slope"_a = 0.0f, nb::kw_only(),
          "out"_a = nb::none(),
          nb::sig("def activation_backward(y: " LIKE_X ", dy: " LIKE_X ", negative_slope: float = 0.0, *, out: " LIKE_X
                  " | None = None) -> " LIKE_X),
          R"(Computes the gradient before an activation from that after it, and returns dz.

    dz = dy if y > 0, else negative_slope * dy

y     the output of the activation
out   receives dz; may be dy or y)");
    m.def("backward_reduce", backward_reduce, "x"_a, "dy"_a, "group"_a, "mean"_a,
          nb::sig("def backward_reduce(x: " ARRAY ", dy: " ARRAY ", group: Group, mean: " VALUES
                  ") -> tuple[numpy.typing.NDArray[numpy.float64], numpy.typing.NDArray[numpy.float64]]"),
          "sum_dy and sum_dy_xmu of each group: hnorm.backward_reduce makes BackwardSums of them.");
    m.def("backward_apply", backward_apply, "x"_a, "dy"_a, "group"_a, "count"_a, "mean"_a, "variance"_a, "sum_dy"_a,
          "sum_dy_xmu"_a, "gamma"_a.none(), "eps"_a, "dx"_a.none(),
          nb::sig("def backward_apply(x: " LIKE_X ", dy: " LIKE_X ", group: Group, count: " VALUES ", mean: " VALUES
                  ", variance: " VALUES ", sum_dy: " VALUES ", sum_dy_xmu: " VALUES ", gamma: " VALUES
                  " | None, eps: float, dx: " LIKE_X " | None) -> " LIKE_X),
          "dx from given sums: hnorm.backward_apply.");
}

}  // namespace hnorm_python
