// Python arrays as arguments of hnorm: anything that has DLPack, without a copy.
#pragma once

#include <hnorm/gpu.hpp>
#include <hnorm/hnorm.hpp>

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>

#include <string>

namespace hnorm_python {

namespace nb = nanobind;

enum class Access { read, write };

// The place of an array's memory, in the numbers of DLPack.
struct Place {
    int type = 1, index = 0;
    bool operator==(const Place &other) const { return type == other.type && index == other.index; }
};

[[noreturn]] void refuse(const std::string &sentence, hnorm_status status = HNORM_INVALID_ARGUMENT);

// The name of the type of a Python object.
std::string type_of(nb::handle object);
bool is_array(nb::handle object);
// A new array laid out as this one, of the same library; no object if the arrays of that library
// cannot be written.
nb::object empty_like(nb::handle array);

// An array of any type and shape. It must not live longer than the Python object.
class Array {
public:
    // `name` is the argument's, for messages. Throws what Python's caller sees if this is no array.
    Array(nb::handle object, const char *name, Access access = Access::read);

    // As a tensor of hnorm, whose functions check rank, shape and strides.
    hnorm::Tensor tensor() const;
    // Throws unless the memory lies where that of `x` does.
    void require_place_of(const Array &x) const;
    // Before a computation: for memory on CUDA, chooses the stream that the owner of the array
    // uses.
    void use_device() const;

    bool is_contiguous() const;
    bool is_channels_last() const;  // without gaps
    bool has_strides_of(const Array &x) const;
    bool is_on_cpu() const { return place_ == Place(); }
    std::string type_name() const;
    void *data() const { return data_; }
    nb::dlpack::dtype dtype() const { return dtype_; }
    nb::handle object() const { return object_; }
    int rank() const { return rank_; }
    std::int64_t extent(int axis) const { return axis < rank_ && rank_ <= HNORM_MAX_RANK ? shape_[axis] : 0; }
    std::size_t size() const { return size_; }

private:
    void read(const nb::dlpack::dltensor &tensor);

    nb::handle object_;
    const char *name_;
    nb::ndarray<nb::ro> owner_;  // what keeps a view of DLPack alive, if something must
    void *data_ = nullptr;
    nb::dlpack::dtype dtype_;
    Place place_;
    int rank_ = 0;
    std::int64_t shape_[HNORM_MAX_RANK] = {}, strides_[HNORM_MAX_RANK] = {};
    std::size_t size_ = 1;
};

}  // namespace hnorm_python
