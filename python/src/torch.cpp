// What hnorm.torch calls: forward and backward with all that surrounds them in one call each.
// Beside small tensors, each call from Python, each tensor and each argument counts.
#include "bindings.h"

namespace hnorm_python {
namespace {

// A parameter as float; a model of half() has others.
nb::object as_float(nb::handle parameter, const char *name) {
    if (parameter.is_none() || Array(parameter, name).dtype() == nb::dtype<float>()) {
        return nb::borrow(parameter);
    }
    return parameter.attr("float")();
}

// x, or a copy in a layout that hnorm has.
nb::object dense(nb::handle x) {
    const Array array(x, "input");
    return array.is_contiguous() || array.is_channels_last() ? nb::borrow(x) : nb::object(x.attr("contiguous")());
}

// The statistics of a forward: one value a group, here or, for a tensor on a device, in tensors
// there.
struct Statistics {
    Group group;
    double eps;
    bool given;  // before the forward, by the running statistics
    std::vector<double> memory;
    nb::object mean = nb::none(), variance = nb::none();
};

class Values64 {
public:
    Values64(Statistics &of, const Array &x) {
        if (x.is_on_cpu()) {
            const std::size_t size = of.memory.size() / 2;
            mean = {of.memory.data(), size};
            variance = {of.memory.data() + size, size};
        } else {
            mean = Values<double>(of.mean, "mean", x).span();
            variance = Values<double>(of.variance, "variance", x).span();
        }
    }
    hnorm::Span<double> mean, variance;
};

// Running statistics of any type, and what a forward has for them.
class Running {
public:
    Running(nb::handle running, const char *name, const Array &x) : running_(running), name_(name), x_(x) {
        if (running.is_none()) {
            return;
        }
        const Array given(running, name);
        if (given.size() != static_cast<std::size_t>(x.extent(1))) {
            refuse(std::string(name) + " holds " + std::to_string(given.size()) + " values but must hold " +
                   std::to_string(x.extent(1)));
        }
        if (x.is_on_cpu()) {
            const bool plain = given.dtype() == nb::dtype<float>() && given.is_contiguous();
            floats_ = plain ? nb::borrow(running) : nb::object(running.attr("float")().attr("contiguous")());
        }
    }

    // As the statistics of a forward: written to `values`, or returned as a tensor on the device.
    nb::object widen(hnorm::Span<double> values) const {
        if (running_.is_none()) {
            refuse(std::string(name_) + " is None: without statistics of the input it must be given");
        }
        if (!x_.is_on_cpu()) {
            return running_.attr("double")();
        }
        const Values<float> from(floats_, name_, x_);
        std::copy(from.span().begin(), from.span().end(), values.begin());
        return nb::none();
    }
    // running = (1 - momentum) * running + momentum * correction * the average of the values over
    // the samples.
    void track(hnorm::Span<double> values, nb::handle on_device, double momentum, double correction) const {
        if (running_.is_none()) {
            return;
        }
        if (!x_.is_on_cpu()) {
            const nb::object average = on_device.attr("view")(-1, x_.extent(1)).attr("mean")(0);
            running_.attr("mul_")(1 - momentum).attr("add_")(average.attr("mul")(momentum * correction));
            return;
        }
        const Values<float> to(floats_, name_, x_);
        const std::size_t channels = to.span().size(), samples = values.size() / channels;
        for (std::size_t c = 0; c < channels; ++c) {
            double sum = 0;
            for (std::size_t n = 0; n < samples; ++n) {
                sum += values[n * channels + c];
            }
            const double value = sum / static_cast<double>(samples) * correction;
            to.span()[c] = static_cast<float>((1 - momentum) * static_cast<double>(to.span()[c]) + momentum * value);
        }
        if (floats_.ptr() != running_.ptr()) {
            running_.attr("copy_")(floats_);
        }
    }

private:
    const nb::handle running_;
    const char *const name_;
    const Array &x_;
    nb::object floats_;
};

// The statistics for a forward of x; those that are given are there.
Statistics statistics_for(const Array &x, const Group &group, double eps, bool given, const Running &running_mean,
                          const Running &running_var) {
    Statistics result{group, eps, given, {}};
    const std::vector<std::int64_t> shape = shape_of_groups(x, group);
    const std::int64_t size = shape.size() == 1 ? shape[0] : shape[0] * shape[1];
    if (x.is_on_cpu()) {
        result.memory.resize(2 * static_cast<std::size_t>(size));
        if (given) {
            const Values64 values(result, x);
            running_mean.widen(values.mean);
            running_var.widen(values.variance);
        }
    } else if (given) {
        result.mean = running_mean.widen({});
        result.variance = running_var.widen({});
    } else {
        const nb::object like = x.object().attr("new_empty")(size).attr("double")();
        result.mean = like;
        result.variance = like.attr("clone")();
    }
    return result;
}

// rest: (group, eps, whether the running statistics are used, running_mean, running_var, momentum).
nb::tuple forward(nb::handle x_, nb::handle weight, nb::handle bias, nb::tuple rest) {
    const nb::object input = dense(x_);
    const Array x(input, "input");
    const Output y(nb::none(), "y", x);
    const Values<const float> gamma(as_float(weight, "weight"), "weight", x), beta(as_float(bias, "bias"), "bias", x);
    const Running running_mean(rest[3], "running_mean", x), running_var(rest[4], "running_var", x);
    Statistics statistics = statistics_for(x, nb::cast<const Group &>(rest[0]), nb::cast<double>(rest[1]),
                                           nb::cast<bool>(rest[2]), running_mean, running_var);
    const Values64 values(statistics, x);
    compute(x, [&, in = x.tensor(), to = y.tensor(), group = statistics.group.value] {
        const hnorm::Affine affine{gamma.span(), beta.span()};
        if (statistics.given) {
            hnorm::normalize(in, group, values.mean, values.variance, affine, statistics.eps, to);
        } else {
            hnorm::forward(in, group, affine, statistics.eps, to, values.mean, values.variance);
        }
    });
    if (!statistics.given) {
        const double momentum = nb::cast<double>(rest[5]);
        const double count = static_cast<double>(x.size()) / static_cast<double>(values.mean.size());
        running_mean.track(values.mean, statistics.mean, momentum, 1);
        running_var.track(values.variance, statistics.variance, momentum, count / (count - 1));
    }
    return nb::make_tuple(y.object(), std::move(statistics));
}

nb::tuple backward(nb::handle x_, nb::handle weight_, nb::handle dy_, Statistics &statistics, nb::tuple wanted) {
    const nb::object input = dense(x_), weight = as_float(weight_, "weight");
    const Array x(input, "input");
    nb::object gradient_of_y = nb::borrow(dy_);
    std::optional<Array> dy(std::in_place, gradient_of_y, "the gradient");
    if (!dy->has_strides_of(x)) {
        gradient_of_y = empty_like(input).attr("copy_")(gradient_of_y);
        dy.emplace(gradient_of_y, "the gradient");
    }
    const Values<const float> gamma(weight, "weight", x);
    const Values64 values(statistics, x);
    // None is a new array, False none.
    const auto output = [&](std::size_t i) {
        return wanted[i].ptr() == Py_True ? nb::handle(Py_None) : nb::handle(Py_False);
    };
    const Output dx(output(0), "dx", x, true);
    const Values<float> dgamma = gradient(output(1), "dgamma", weight, x),
                        dbeta = gradient(output(2), "dbeta", weight, x);
    compute(x, [&, in = x.tensor(), from = dy->tensor(), to = dx.if_wanted(), group = statistics.group.value] {
        const auto call = [&](auto function) {
            function(in, from, group, values.mean, values.variance, hnorm::Affine{gamma.span(), {}}, statistics.eps, to,
                     dgamma.span(), dbeta.span());
        };
        if (statistics.given) {
            call([](auto &&...arguments) { hnorm::normalize_backward(arguments...); });
        } else {
            call([](auto &&...arguments) { hnorm::backward(arguments...); });
        }
    });
    nb::object of_bias = dbeta.object();
    if (weight.is_none() && !of_bias.is_none()) {  // an array of NumPy
        of_bias = nb::module_::import_("torch").attr("as_tensor")(of_bias);
    }
    return nb::make_tuple(dx.object(), dgamma.object(), of_bias, nb::none());
}

}  // namespace

// Without names for arguments, calls are faster.
void bind_torch(nb::module_ &m) {
    nb::class_<Statistics>(m, "Statistics", "The statistics of a forward of hnorm.torch.");
    m.def("torch_forward", forward, nb::arg(), nb::arg().none(), nb::arg().none(), nb::arg(),
          nb::sig("def torch_forward(x: " LIKE_X ", weight: " ARRAY " | None, bias: " ARRAY
                  " | None, rest: tuple[typing.Any, ...], /) -> tuple[" LIKE_X ", Statistics]"),
          "Forward of hnorm.torch: y, and what backward needs.");
    m.def("torch_backward", backward, nb::arg(), nb::arg().none(), nb::arg(), nb::arg(), nb::arg(),
          nb::sig("def torch_backward(x: " LIKE_X ", weight: " ARRAY " | None, dy: " LIKE_X
                  ", statistics: Statistics, wanted: tuple[bool, ...], /) -> tuple[typing.Any, ...]"),
          "Backward of hnorm.torch: the gradients of the arguments of torch_forward.");
}

}  // namespace hnorm_python
