#include "arguments.h"

#include <unordered_map>

namespace hnorm_python {

namespace {

nb::handle numpy(const char *name) {
    static auto &known = *new std::unordered_map<const char *, nb::object>;  // by the address of the literal
    nb::object &function = known[name];
    if (!function) {
        function = nb::getattr(nb::module_::import_("numpy"), name);
    }
    return function;
}

}  // namespace

Output::Output(nb::handle object, const char *name, const Array &x, bool may_be_unwanted) {
    object_ = nb::borrow(object);
    if (may_be_unwanted && object.ptr() == Py_False) {
        object_ = nb::none();
        return;
    }
    if (object.is_none()) {
        object_ = empty_like(x.object());
        if (!object_) {
            refuse(std::string(name) + " is None, and x is of the type " + type_of(x.object()) +
                   ": it must be given, but for arrays of NumPy, PyTorch and CuPy");
        }
    }
    array_.emplace(object_, name, Access::write);
    array_->require_place_of(x);
}

Optional::Optional(nb::handle object, const char *name, Access access) {
    if (!object.is_none()) {
        array_.emplace(object, name, access);
        tensor_ = array_->tensor();
    }
}

template <typename T>
Values<T>::Values(nb::handle object, const char *name, const Array &x) {
    if (object.is_none()) {
        return;
    }
    object_ = nb::borrow(object);
    constexpr nb::dlpack::dtype wanted = nb::dtype<std::remove_const_t<T>>();
    constexpr const char *wanted_name = sizeof(T) == 4 ? "float32" : "float64";
    if constexpr (std::is_const_v<T>) {
        if (is_array(object)) {
            array_.emplace(object, name);
            if ((array_->dtype() == wanted && array_->is_contiguous()) || !array_->is_on_cpu()) {
                take(name, x);
                return;
            }
        }
        object_ = numpy("ascontiguousarray")(object, wanted_name);
        array_.emplace(object_, name);
    } else {
        array_.emplace(object, name, Access::write);
    }
    take(name, x);
}

template <typename T>
void Values<T>::take(const char *name, const Array &x) {
    constexpr const char *wanted = sizeof(T) == 4 ? "float32" : "float64";
    if (array_->dtype() != nb::dtype<std::remove_const_t<T>>()) {
        refuse(std::string(name) + " has the type " + array_->type_name() + ": it must be " + wanted);
    }
    if (!array_->is_contiguous()) {
        refuse(std::string(name) + " has gaps between its elements, or another order than C's: it must be contiguous");
    }
    array_->require_place_of(x);
}

template <typename T>
Values<T>::Values(const std::vector<std::int64_t> &shape, const char *name, const Array &x) {
    nb::list extents;
    for (std::int64_t extent : shape) {
        extents.append(extent);
    }
    object_ = numpy("empty")(extents, sizeof(T) == 4 ? "float32" : "float64");
    array_.emplace(object_, name);
    take(name, x);
}

template class Values<float>;
template class Values<const float>;
template class Values<double>;
template class Values<const double>;

Values<float> gradient(nb::handle object, const char *name, nb::handle parameter, const Array &x) {
    if (object.ptr() == Py_False) {
        return Values<float>(nb::none(), name, x);
    }
    if (!object.is_none()) {
        return Values<float>(object, name, x);
    }
    if (!parameter.is_none() && is_array(parameter)) {
        const Array like(parameter, name);
        const nb::object result =
            like.dtype() == nb::dtype<float>() && like.is_contiguous() ? empty_like(parameter) : nb::object();
        if (result) {
            return Values<float>(result, name, x);
        }
    }
    const auto size = parameter.is_none() ? 0 : nb::cast<std::int64_t>(numpy("size")(parameter));
    const bool one_a_sample = size != 0 && size != x.extent(1) && size == x.extent(0) * x.extent(1);
    return Values<float>(one_a_sample ? std::vector{x.extent(0), x.extent(1)} : std::vector{x.extent(1)}, name, x);
}

std::vector<std::int64_t> shape_of_groups(const Array &x, const Group &group) {
    const std::int64_t n = x.extent(0), c = x.extent(1), g = static_cast<int>(group.value) - HNORM_GROUPS;
    if (x.rank() < 2 || g > c) {
        return {0};  // hnorm refuses these
    }
    if (group.value == hnorm::Group::batch) {
        return {c};
    }
    return {n, g > 0 ? g : c};
}

Activation read_activation(nb::handle activation) {
    if (activation.is_none()) {
        return Activation::none;
    }
    const std::string name = nb::cast<std::string>(nb::str(activation));
    if (name == "relu" || name == "leaky_relu") {
        return name == "relu" ? Activation::relu : Activation::leaky_relu;
    }
    refuse("activation is " + name + ": it must be None, \"relu\" or \"leaky_relu\"");
}

}  // namespace hnorm_python
