// Forward: the functions of hnorm.hpp up to batch_normalization.
#include "bindings.h"

namespace hnorm_python {
namespace {

using namespace nb::literals;

// A residual and an activation.
class Post {
public:
    Post(nb::handle residual, nb::handle activation, float slope) : residual_(residual, "residual") {
        activate(ops, activation, slope);
        if (residual_.get()) {
            ops.residual(*residual_.get());
        }
    }

    hnorm::PostOps ops;

private:
    const Optional residual_;
};

nb::object forward(nb::handle x_, const Group &group, nb::handle gamma_, nb::handle beta_, double eps, nb::handle out,
                   nb::handle mean_, nb::handle variance_, nb::handle residual_, nb::handle activation, float slope) {
    const Array x(x_, "x");
    const Output y(out, "out", x);
    const Values<const float> gamma(gamma_, "gamma", x), beta(beta_, "beta", x);
    const Values<double> mean(mean_, "mean", x), variance(variance_, "variance", x);
    const Post post(residual_, activation, slope);
    compute(x, [&, in = x.tensor(), result = y.tensor()] {
        hnorm::forward(in, group.value, {gamma.span(), beta.span()}, eps, result, mean.span(), variance.span(),
                       post.ops);
    });
    return y.object();
}

nb::object normalize(nb::handle x_, const Group &group, nb::handle mean_, nb::handle variance_, nb::handle gamma_,
                     nb::handle beta_, double eps, nb::handle out, nb::handle residual_, nb::handle activation,
                     float slope) {
    const Array x(x_, "x");
    const Output y(out, "out", x);
    const Values<const double> mean(mean_, "mean", x), variance(variance_, "variance", x);
    const Values<const float> gamma(gamma_, "gamma", x), beta(beta_, "beta", x);
    const Post post(residual_, activation, slope);
    compute(x, [&, in = x.tensor(), result = y.tensor()] {
        hnorm::normalize(in, group.value, mean.span(), variance.span(), {gamma.span(), beta.span()}, eps, result,
                         post.ops);
    });
    return y.object();
}

nb::object batch_normalization(nb::handle x_, nb::handle mean_, nb::handle variance_, nb::handle offset_,
                               nb::handle scale_, double variance_epsilon, nb::handle out) {
    const Array x(x_, "x");
    const Output y(out, "out", x);
    const Values<const float> mean(mean_, "mean", x), variance(variance_, "variance", x), offset(offset_, "offset", x),
        scale(scale_, "scale", x);
    compute(x, [&, in = x.tensor(), result = y.tensor()] {
        hnorm::batch_normalization(in, mean.span(), variance.span(), offset.span(), scale.span(), variance_epsilon,
                                   result);
    });
    return y.object();
}

nb::tuple moments(nb::handle x_, const Group &group) {
    const Array x(x_, "x");
    const std::vector<std::int64_t> shape = shape_of_groups(x, group);
    const Values<double> count(shape, "count", x), mean(shape, "mean", x), m2(shape, "m2", x);
    compute(x, [&, in = x.tensor()] {
        hnorm::header::require_ok(hnorm_moments(in.c(), static_cast<hnorm_group>(group.value), count.span().data(),
                                                mean.span().data(), m2.span().data()));
    });
    return nb::make_tuple(count.object(), mean.object(), m2.object());
}

void merge_moments(nb::handle count_, nb::handle mean_, nb::handle m2_, nb::handle other_count_, nb::handle other_mean_,
                   nb::handle other_m2_) {
    const Array place(count_, "count");
    const Values<double> count(count_, "count", place), mean(mean_, "mean", place), m2(m2_, "m2", place);
    const Values<const double> other_count(other_count_, "other.count", place),
        other_mean(other_mean_, "other.mean", place), other_m2(other_m2_, "other.m2", place);
    const std::size_t size = count.span().size();
    for (const hnorm::Span<const double> values :
         {hnorm::Span<const double>(mean.span()), hnorm::Span<const double>(m2.span()), other_count.span(),
          other_mean.span(), other_m2.span()}) {
        if (values.size() != size) {
            refuse("Moments.merge: the arrays must be equally long, and are " + std::to_string(size) + " and " +
                   std::to_string(values.size()));
        }
    }
    hnorm::header::require_ok(hnorm_merge_moments(static_cast<std::int64_t>(size), count.span().data(),
                                                  mean.span().data(), m2.span().data(), other_count.span().data(),
                                                  other_mean.span().data(), other_m2.span().data()));
}

}  // namespace

void bind_forward(nb::module_ &m) {
    m.def("forward", forward, "x"_a, "group"_a, "gamma"_a = nb::none(), "beta"_a = nb::none(), "eps"_a = 1e-5,
          nb::kw_only(), "out"_a = nb::none(), "mean"_a = nb::none(), "variance"_a = nb::none(),
          "residual"_a = nb::none(), "activation"_a = nb::none(), "negative_slope"_a = 0.01f,
          nb::sig("def forward(x: " LIKE_X ", group: Group, gamma: " VALUES " | None = None, beta: " VALUES
                  " | None = None, eps: float = 1e-5, *, out: " LIKE_X " | None = None, mean: " ARRAY
                  " | None = None, variance: " ARRAY " | None = None, " POST_OPS ") -> " LIKE_X),
          R"(Normalizes x with its own statistics, and returns y.

    y = (x - mean(x)) / sqrt(variance(x) + eps) * gamma + beta

x          float32, float16 or bfloat16, shape (N, C, spatial...), rank 2 to 5
group      Group.batch, Group.instance or groups(G)
gamma      one value a channel (C) or a sample and channel (N, C); None: 1
beta       as gamma; None: 0
eps        finite and 0 or more
out        receives y; may be x or residual; None: a new array, laid out as x
mean       receives one float64 a group
variance   receives the biased variance, one float64 a group
residual   a tensor like x, added before the activation
activation, negative_slope   None, "relu" or "leaky_relu" with its slope

Raises Error if an argument is not valid, or if a group has one element.)");
    m.def("normalize", normalize, "x"_a, "group"_a, "mean"_a, "variance"_a, "gamma"_a = nb::none(),
          "beta"_a = nb::none(), "eps"_a = 1e-5, nb::kw_only(), "out"_a = nb::none(), "residual"_a = nb::none(),
          "activation"_a = nb::none(), "negative_slope"_a = 0.01f,
          nb::sig("def normalize(x: " LIKE_X ", group: Group, mean: " VALUES ", variance: " VALUES ", gamma: " VALUES
                  " | None = None, beta: " VALUES " | None = None, eps: float = 1e-5, *, out: " LIKE_X
                  " | None = None, " POST_OPS ") -> " LIKE_X),
          R"(Normalizes x with given statistics, and returns y.

    y = (x - mean) / sqrt(variance + eps) * gamma + beta

mean, variance   one value a group: (C) for batch, (N, C) for instance, (N, G) for groups(G)

If variance + eps is 0, y is beta. The other arguments and errors are those of forward.)");
    m.def("batch_normalization", batch_normalization, "x"_a, "mean"_a, "variance"_a, "offset"_a.none(),
          "scale"_a.none(), "variance_epsilon"_a, nb::kw_only(), "out"_a = nb::none(),
          nb::sig("def batch_normalization(x: " LIKE_X ", mean: " VALUES ", variance: " VALUES ", offset: " VALUES
                  " | None, scale: " VALUES " | None, variance_epsilon: float, *, out: " LIKE_X
                  " | None = None) -> " LIKE_X),
          R"(Computes tf.nn.batch_normalization of TensorFlow, and returns y.

    y = (x - mean) / sqrt(variance + variance_epsilon) * scale + offset

All four arrays have one value a channel (C), or all have one a sample and channel (N, C). They are
float32, or are converted to it.

Raises Error if an argument is not valid.)");
    m.def("moments", moments, "x"_a, "group"_a,
          nb::sig("def moments(x: " ARRAY ", group: Group) -> tuple[numpy.typing.NDArray[numpy.float64], "
                  "numpy.typing.NDArray[numpy.float64], numpy.typing.NDArray[numpy.float64]]"),
          "count, mean and M2 of each group: hnorm.moments makes Moments of them.");
    m.def("merge_moments", merge_moments, "count"_a, "mean"_a, "m2"_a, "other_count"_a, "other_mean"_a, "other_m2"_a,
          nb::sig("def merge_moments(count: " ARRAY ", mean: " ARRAY ", m2: " ARRAY ", other_count: " VALUES
                  ", other_mean: " VALUES ", other_m2: " VALUES ") -> None"),
          "Merges other moments into count, mean and m2: Moments.merge.");
}

}  // namespace hnorm_python
