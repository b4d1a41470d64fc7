// Layers: BatchNorm, InstanceNorm and GroupNorm with their relatives for one rank.
#include "bindings.h"

#include <cstring>

namespace hnorm_python {
namespace {

using namespace nb::literals;
using hnorm::header::Layer;

// A call of a layer that shares its statistics. If its arguments are refused here, hnorm has not
// been called, and the other ranks wait: they learn of it by a call without arguments.
class Turn {
public:
    explicit Turn(Layer &layer, bool forward) : layer_(layer), forward_(forward) {}
    ~Turn() {
        if (taken_) {
            return;
        }
        {
            const nb::gil_scoped_release release;
            forward_ ? hnorm_layer_forward(layer_.c(), nullptr, nullptr)
                     : hnorm_layer_backward(layer_.c(), nullptr, nullptr, nullptr);
        }
        take_raised();
    }
    Turn(const Turn &) = delete;
    Turn &operator=(const Turn &) = delete;
    // Runs a function of the layer where x lies.
    template <typename Function>
    void take(const Array &x, const Function &function) {
        compute(x, [&] {
            taken_ = true;
            function();
        });
    }

private:
    Layer &layer_;
    const bool forward_;
    bool taken_ = false;
};

nb::object forward(Layer &layer, nb::handle x_, nb::handle out) {
    Turn turn(layer, true);
    const Array x(x_, "x");
    const Output y(out, "out", x);
    turn.take(x, [&, in = x.tensor(), result = y.tensor()] { layer.forward(in, result); });
    return y.object();
}

nb::object forward_add(Layer &layer, nb::handle x_, nb::handle residual_, nb::handle out) {
    Turn turn(layer, true);
    const Array x(x_, "x"), residual(residual_, "residual");
    const Output y(out, "out", x);
    turn.take(x, [&, in = x.tensor(), added = residual.tensor(), result = y.tensor()] {
        layer.forward_add(in, added, result);
    });
    return y.object();
}

nb::object backward(Layer &layer, nb::handle x_, nb::handle dy_, nb::handle dx_) {
    Turn turn(layer, false);
    const Array x(x_, "x"), dy(dy_, "dy");
    const Output dx(dx_, "dx", dy, true);
    turn.take(x, [&, in = x.tensor(), gradient = dy.tensor(), result = dx.if_wanted()] {
        layer.backward(in, gradient, result);
    });
    return dx.object();
}

nb::tuple backward_add(Layer &layer, nb::handle x_, nb::handle y_, nb::handle dy_, nb::handle dx_,
                       nb::handle dresidual_) {
    Turn turn(layer, false);
    const Array x(x_, "x"), dy(dy_, "dy");
    const Optional y(y_, "y");
    const Output dx(dx_, "dx", dy, true), dresidual(dresidual_, "dresidual", dy, true);
    const std::optional<hnorm::ConstTensor> written =
        y.get() ? std::optional<hnorm::ConstTensor>(*y.get()) : std::nullopt;
    turn.take(
        x, [&, in = x.tensor(), gradient = dy.tensor(), result = dx.if_wanted(), to_residual = dresidual.if_wanted()] {
            layer.backward_add(in, written, gradient, result, to_residual);
        });
    return nb::make_tuple(dx.object(), dresidual.object());
}

void set_context(nb::handle self, nb::handle context) {
    nb::cast<Layer &>(self).set_context(context.is_none() ? nullptr : &nb::cast<hnorm::Context &>(context));
    nb::setattr(self, "_context", context);  // which keeps it
}

// An array of the layer as a NumPy array of the same memory, which keeps the layer alive; None if
// there is none.
template <typename T>
nb::object view(nb::handle self, hnorm::Span<T> values) {
    if (values.empty()) {
        return nb::none();
    }
    return nb::ndarray<nb::numpy, T, nb::ndim<1>>(values.data(), {values.size()}, self).cast();
}

template <typename T>
void bind_array(nb::class_<Layer> &layer, const char *name, hnorm::Span<T> (Layer::*array)(), const char *doc) {
    const std::string getter = "def " + std::string(name) + "(self) -> numpy.typing.NDArray[numpy.float" +
                               std::to_string(8 * sizeof(T)) + "] | None";
    layer.def_prop_ro(
        name, [array](nb::handle self) { return view(self, (nb::cast<Layer &>(self).*array)()); },
        nb::sig(getter.c_str()), doc);
}

nb::object num_batches_tracked(Layer &layer) {
    const hnorm::Span<std::int64_t> value = layer.num_batches_tracked();
    return value.empty() ? nb::none() : nb::object(nb::int_(value[0]));
}

// The arrays of the state by PyTorch's names, each for what calls visit(name, values).
template <typename Visit>
void for_each_array(Layer &layer, const Visit &visit) {
    visit("weight", layer.gamma());
    visit("bias", layer.beta());
    visit("running_mean", layer.running_mean());
    visit("running_var", layer.running_var());
    visit("num_batches_tracked", layer.num_batches_tracked());
}

nb::dict state_dict(nb::handle self) {
    nb::dict result;
    for_each_array(nb::cast<Layer &>(self), [&](const char *name, auto values) {
        if (!values.empty()) {
            nb::object array = view(self, values).attr("copy")();
            result[name] =
                std::strcmp(name, "num_batches_tracked") == 0 ? nb::object(array.attr("reshape")(nb::tuple())) : array;
        }
    });
    return result;
}

// All arrays are checked before one is written.
void load_state_dict(nb::handle self, nb::handle state) {
    Layer &layer = nb::cast<Layer &>(self);
    const nb::object asarray = nb::module_::import_("numpy").attr("asarray");
    std::vector<std::pair<nb::object, nb::object>> copies;
    for_each_array(layer, [&](const char *name, auto values) {
        if (values.empty()) {
            return;
        }
        if (!nb::cast<bool>(state.attr("__contains__")(name))) {
            refuse("load_state_dict: the state holds no '" + std::string(name) + "', which the layer has");
        }
        nb::object source = asarray(state[name]).attr("reshape")(-1);
        if (nb::len(source) != values.size()) {
            refuse("load_state_dict: '" + std::string(name) + "' holds " + std::to_string(nb::len(source)) +
                   " values but must hold " + std::to_string(values.size()));
        }
        copies.emplace_back(view(self, values), source);
    });
    for (auto &[to, from] : copies) {
        to[nb::ellipsis()] = from;
    }
}

// The arguments of PyTorch's layers. `...` for momentum: 0.1, or ONNX's 0.9.
hnorm::Options options(double eps, nb::handle momentum, bool affine, bool track_running_stats, bool onnx_running_stats,
                       nb::handle activation, float negative_slope) {
    hnorm::Options result;
    result.eps(eps).affine(affine).track_running_stats(track_running_stats).onnx_running_stats(onnx_running_stats);
    if (!momentum.is(nb::ellipsis())) {
        result.momentum(momentum.is_none() ? std::nullopt : std::optional<double>(nb::cast<double>(momentum)));
    }
    activate(result, activation, negative_slope);
    return result;
}

template <typename Norm, typename Base>
void bind_norm(nb::module_ &m, const char *name, bool on, const char *doc) {
    const std::string given = on ? "True" : "False";
    const std::string init =
        "def __init__(self, num_features: int, eps: float = 1e-5, momentum: float | None = ..., affine: bool = " +
        given + ", track_running_stats: bool = " + given +
        ", *, onnx_running_stats: bool = False, activation: " ACTIVATION
        " = None, negative_slope: float = 0.01) -> None";
    nb::class_<Norm, Base>(m, name, doc)
        .def(
            "__init__",
            [](Norm *self, std::int64_t num_features, double eps, nb::handle momentum, bool affine, bool track,
               bool onnx, nb::handle activation, float slope) {
                new (self) Norm(num_features, options(eps, momentum, affine, track, onnx, activation, slope));
            },
            "num_features"_a, "eps"_a = 1e-5, "momentum"_a.none() = nb::ellipsis(), "affine"_a = on,
            "track_running_stats"_a = on, nb::kw_only(), "onnx_running_stats"_a = false, "activation"_a = nb::none(),
            "negative_slope"_a = 0.01f, nb::sig(init.c_str()));
}

void bind_base(nb::module_ &m) {
    // A dictionary for what a layer keeps alive.
    nb::class_<Layer> layer(m, "Layer", nb::dynamic_attr(),
                            "What all layers have. Two threads must not use the same layer at the same time.");
    layer
        .def("forward", forward, "x"_a, nb::kw_only(), "out"_a = nb::none(),
             nb::sig("def forward(self, x: " LIKE_X ", *, out: " LIKE_X " | None = None) -> " LIKE_X),
             R"(Normalizes x, and returns y.

In training the statistics are those of the batch, and running statistics are updated. In evaluation
they are the running statistics, or those of the batch if none are tracked. out receives y; it may
be x, but then backward is not possible.)")
        .def("backward", backward, "x"_a, "dy"_a, nb::kw_only(), "dx"_a = nb::none(),
             nb::sig("def backward(self, x: " LIKE_X ", dy: " LIKE_X ", *, dx: " LIKE_X
                     " | bool | None = None) -> " LIKE_X " | None"),
             R"(Computes the gradients of the latest forward, and returns dx.

x must be the tensor of that forward, with the same contents. The gradients of gamma and beta are
added to gamma_grad and beta_grad. dx may be dy or x; None is a new array, and False says that it is
not wanted.)")
        .def("forward_add", forward_add, "x"_a, "residual"_a, nb::kw_only(), "out"_a = nb::none(),
             nb::sig("def forward_add(self, x: " LIKE_X ", residual: " LIKE_X ", *, out: " LIKE_X
                     " | None = None) -> " LIKE_X),
             "Normalizes x, adds a residual before the activation, and returns y. out may be x or residual.")
        .def("backward_add", backward_add, "x"_a, "y"_a.none(), "dy"_a, nb::kw_only(), "dx"_a = nb::none(),
             "dresidual"_a = nb::none(),
             nb::sig("def backward_add(self, x: " LIKE_X ", y: " ARRAY " | None, dy: " LIKE_X ", *, dx: " LIKE_X
                     " | bool | None = None, dresidual: " LIKE_X " | bool | None = None) -> tuple[" LIKE_X
                     " | None, " LIKE_X " | None]"),
             "Computes the gradients of the latest forward_add, and returns (dx, dresidual). y is what it wrote.")
        .def("zero_grad", &Layer::zero_grad, "Sets gamma_grad and beta_grad to 0.")
        .def("train", &Layer::train, "training"_a = true, "Chooses training, or evaluation with False.")
        .def("eval", &Layer::eval, "Chooses evaluation.")
        .def("reset_running_stats", &Layer::reset_running_stats,
             "Sets the running mean to 0, the running variance to 1 and num_batches_tracked to 0.")
        .def("set_context", set_context, "context"_a.none(),
             nb::sig("def set_context(self, context: Context | None) -> None"),
             "Makes the calls of the layer use the settings of a context, whichever the thread uses. None: those of "
             "the thread.")
        .def("state_dict", state_dict, nb::sig("def state_dict(self) -> dict[str, numpy.typing.NDArray[typing.Any]]"),
             "Copies of the arrays by the names of PyTorch: numpy.savez(path, **layer.state_dict()) writes what "
             "hnorm::load of C++ reads.")
        .def("load_state_dict", load_state_dict, "state"_a,
             nb::sig("def load_state_dict(self, state: collections.abc.Mapping[str, typing.Any]) -> None"),
             "Sets the arrays from a mapping, as state_dict() or numpy.load(path). It may hold more.")
        .def_prop_ro("is_training", &Layer::is_training, "True in training.")
        .def_prop_ro("num_features", &Layer::num_features, "The number of channels.")
        .def_prop_ro("num_batches_tracked", num_batches_tracked, nb::sig("def num_batches_tracked(self) -> int | None"),
                     "The counter of training steps; None without running statistics.");
    bind_array(layer, "gamma", static_cast<hnorm::Span<float> (Layer::*)()>(&Layer::gamma),
               "gamma, to read and to write in place; None if the layer is not affine.");
    bind_array(layer, "beta", static_cast<hnorm::Span<float> (Layer::*)()>(&Layer::beta), "beta, as gamma.");
    bind_array(layer, "gamma_grad", static_cast<hnorm::Span<float> (Layer::*)()>(&Layer::gamma_grad),
               "The accumulated gradient of gamma.");
    bind_array(layer, "beta_grad", static_cast<hnorm::Span<float> (Layer::*)()>(&Layer::beta_grad),
               "The accumulated gradient of beta.");
    bind_array(layer, "running_mean", static_cast<hnorm::Span<double> (Layer::*)()>(&Layer::running_mean),
               "The running mean, to read and to write in place; None without running statistics.");
    bind_array(layer, "running_var", static_cast<hnorm::Span<double> (Layer::*)()>(&Layer::running_var),
               "The running variance, as running_mean.");
    bind_comm(layer);
}

}  // namespace

void bind_layers(nb::module_ &m) {
    bind_base(m);
    bind_norm<hnorm::BatchNorm, Layer>(m, "BatchNorm", true,
                                       R"(Batch norm, as torch.nn.BatchNorm1d, 2d and 3d in one.

momentum=None keeps the plain average of all steps. onnx_running_stats: as in BatchNormalization of
ONNX: momentum is the weight of the old value, 0.9 unless it is given, and the running variance is
the biased one. activation is applied to every y, after the residual if there is one.)");
    bind_norm<hnorm::BatchNorm1d, hnorm::BatchNorm>(m, "BatchNorm1d", true, "BatchNorm for (N, C) and (N, C, L).");
    bind_norm<hnorm::BatchNorm2d, hnorm::BatchNorm>(m, "BatchNorm2d", true, "BatchNorm for (N, C, H, W).");
    bind_norm<hnorm::BatchNorm3d, hnorm::BatchNorm>(m, "BatchNorm3d", true, "BatchNorm for (N, C, D, H, W).");
    bind_norm<hnorm::InstanceNorm, Layer>(
        m, "InstanceNorm", false,
        "Instance norm, as torch.nn.InstanceNorm1d, 2d and 3d in one. The arguments are those of BatchNorm.");
    bind_norm<hnorm::InstanceNorm1d, hnorm::InstanceNorm>(m, "InstanceNorm1d", false, "InstanceNorm for (N, C, L).");
    bind_norm<hnorm::InstanceNorm2d, hnorm::InstanceNorm>(m, "InstanceNorm2d", false, "InstanceNorm for (N, C, H, W).");
    bind_norm<hnorm::InstanceNorm3d, hnorm::InstanceNorm>(m, "InstanceNorm3d", false,
                                                          "InstanceNorm for (N, C, D, H, W).");
    nb::class_<hnorm::GroupNorm, Layer>(m, "GroupNorm",
                                        "Group norm, as torch.nn.GroupNorm: a group is num_channels / num_groups "
                                        "neighbouring channels of one sample.")
        .def(
            "__init__",
            [](hnorm::GroupNorm *self, std::int64_t num_groups, std::int64_t num_channels, double eps, bool affine,
               nb::handle activation, float slope) {
                hnorm::Options given;
                given.eps(eps).affine(affine);
                activate(given, activation, slope);
                new (self) hnorm::GroupNorm(num_groups, num_channels, given);
            },
            "num_groups"_a, "num_channels"_a, "eps"_a = 1e-5, "affine"_a = true, nb::kw_only(),
            "activation"_a = nb::none(), "negative_slope"_a = 0.01f,
            nb::sig("def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True, *, "
                    "activation: " ACTIVATION " = None, negative_slope: float = 0.01) -> None"));
}

}  // namespace hnorm_python
