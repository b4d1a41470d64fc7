// The arguments of functions besides arrays that are only read: what is written, what may be None,
// values, groups, activations.
#pragma once

#include "array.h"

#include <optional>
#include <vector>

namespace hnorm_python {

// A tensor that a function writes: None is a new array like `x`, False (where `may_be_unwanted`) is
// none.
class Output {
public:
    Output(nb::handle object, const char *name, const Array &x, bool may_be_unwanted = false);
    // What the function returns to Python: None if the result is not wanted.
    nb::object object() const { return object_; }
    hnorm::Tensor tensor() const { return array_->tensor(); }
    std::optional<hnorm::Tensor> if_wanted() const {
        return array_ ? std::optional<hnorm::Tensor>(array_->tensor()) : std::nullopt;
    }

private:
    nb::object object_;
    std::optional<Array> array_;
};

// A tensor that may be None.
class Optional {
public:
    Optional(nb::handle object, const char *name, Access access = Access::read);
    // Null if there is none.
    const hnorm::ConstTensor *get() const { return tensor_ ? &*tensor_ : nullptr; }

private:
    std::optional<Array> array_;
    std::optional<hnorm::ConstTensor> tensor_;
};

// Values of one type, as gamma (float) or mean (double). None is no values. What is only read may
// be of another type and may be anything that NumPy makes an array of; it is then converted, on the
// CPU.
template <typename T>
class Values {
public:
    Values(nb::handle object, const char *name, const Array &x);
    // New values on the CPU, as a NumPy array of this shape.
    Values(const std::vector<std::int64_t> &shape, const char *name, const Array &x);
    hnorm::Span<T> span() const {
        return array_ ? hnorm::Span<T>(static_cast<T *>(array_->data()), array_->size()) : hnorm::Span<T>();
    }
    nb::object object() const { return object_; }

private:
    void take(const char *name, const Array &x);
    nb::object object_ = nb::none();
    std::optional<Array> array_;
};

// dgamma and dbeta. None is new values, shaped as `parameter` or else with one a channel; False is
// none.
Values<float> gradient(nb::handle object, const char *name, nb::handle parameter, const Array &x);

// A Group of Python.
struct Group {
    hnorm::Group value;
};
// The shape of one value a group: (C,), (N, C) or (N, G).
std::vector<std::int64_t> shape_of_groups(const Array &x, const Group &group);

// Applies `activation` (None, "relu", "leaky_relu") to what has relu() and leaky_relu().
enum class Activation { none, relu, leaky_relu };
Activation read_activation(nb::handle activation);
template <typename Operations>
void activate(Operations &operations, nb::handle activation, float negative_slope) {
    switch (read_activation(activation)) {
    case Activation::none: break;
    case Activation::relu: operations.relu(); break;
    case Activation::leaky_relu: operations.leaky_relu(negative_slope); break;
    }
}

}  // namespace hnorm_python
