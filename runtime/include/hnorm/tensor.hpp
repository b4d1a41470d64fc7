/// @file
/// Errors, arrays and tensors in C++. hnorm.hpp includes this header.
///
/// @code{.cpp}
/// hnorm::Tensor x = hnorm::nchw(data, {32, 64, 56, 56});
/// hnorm::Tensor y = hnorm::channels_last(data, {32, 64, 56, 56});
/// hnorm::Tensor z(data, hnorm::Type::bf16, hnorm::Layout::channels_last, shape);
/// @endcode
#pragma once

#include <hnorm/hnorm.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

/// The C++ interface of hnorm.
namespace hnorm {
inline namespace HNORM_VERSION_NAMESPACE {

/// The exception that every function of this namespace throws if it fails.
///
/// what() is the error message: the sentence of hnorm_last_error().
class Error : public std::runtime_error {
public:
    /// Makes an error with this status and message.
    Error(hnorm_status status, const std::string &sentence) : std::runtime_error(sentence), status_(status) {}
    /// The status of the C function that has failed.
    hnorm_status status() const noexcept { return status_; }

private:
    hnorm_status status_;
};

namespace header {
/// @cond internals

inline void require_ok(hnorm_status status) {
    if (status != HNORM_OK) {
        throw Error(status, hnorm_last_error());
    }
}

/// @endcond
}  // namespace header

/// A view of an array that the caller owns.
///
/// It can be made from a vector, a std::array, a C array, a pointer and a length, or nullptr (no
/// array). A Span of const elements can also be made from a temporary. The temporary must live as
/// long as the call that takes the Span.
template <typename T>
class Span {
public:
    /// No array.
    Span() noexcept = default;
    /// No array.
    Span(std::nullptr_t) noexcept {}
    /// `size` elements from `data` on. With a size of 0 it is no array, also if the pointer is not
    /// null, as that of a cleared vector.
    Span(T *data, std::size_t size) noexcept : data_(size ? data : nullptr), size_(size) {}
    /// A C array.
    template <std::size_t N>
    Span(T (&array)[N]) noexcept : Span(array, N) {}
    /// A container with data() and size().
    template <typename Container,
              typename = std::enable_if_t<std::is_convertible_v<
                  std::remove_pointer_t<decltype(std::declval<Container &>().data())> (*)[], T (*)[]>>>
    Span(Container &container) noexcept : Span(container.data(), container.size()) {}
    /// A constant or temporary container with data() and size().
    template <typename Container,
              typename = std::enable_if_t<std::is_convertible_v<
                  std::remove_pointer_t<decltype(std::declval<const Container &>().data())> (*)[], T (*)[]>>,
              typename = void>
    Span(const Container &container) noexcept : Span(container.data(), container.size()) {}

    /// The first element, or null if there is no array.
    T *data() const noexcept { return data_; }
    /// The number of elements.
    std::size_t size() const noexcept { return size_; }
    /// True if there is no array.
    bool empty() const noexcept { return size_ == 0; }
    /// The first element.
    T *begin() const noexcept { return data_; }
    /// One past the last element.
    T *end() const noexcept { return data_ + size_; }
    /// Element i. The index is not checked.
    T &operator[](std::size_t i) const noexcept { return data_[i]; }

private:
    T *data_ = nullptr;
    std::size_t size_ = 0;
};

/// The type of the elements of a tensor (hnorm_type).
enum class Type {
    f32 = HNORM_F32,   ///< float
    f16 = HNORM_F16,   ///< IEEE half
    bf16 = HNORM_BF16  ///< bfloat16, the upper half of a float
};
/// The elements that are adjacent in memory.
///
/// The shape is (N, C, spatial...) in both layouts.
enum class Layout {
    channels_first,  ///< positions are adjacent (NCHW)
    channels_last    ///< channels are adjacent (NHWC)
};

/// The place of a tensor (hnorm_device). gpu.hpp says how a program uses CUDA and OpenCL.
enum class Device {
    cpu = HNORM_CPU,       ///< memory of the process
    cuda = HNORM_CUDA,     ///< memory of a CUDA device
    opencl = HNORM_OPENCL  ///< memory of an OpenCL device, a cl_mem
};

/// A tensor (N, C, spatial...) that is only read. The caller owns the memory.
///
/// hnorm_tensor describes shapes and strides. A tensor that is not valid (another rank, a null
/// pointer) can be made: the functions that take it throw Error.
class ConstTensor {
public:
    /// A dense tensor of any type and layout. The shape is (N, C, spatial...) in both layouts.
    ConstTensor(const void *data, Type type, Layout layout, Span<const std::int64_t> shape)
        : c_(hnorm_dense(const_cast<void *>(data), static_cast<hnorm_type>(type), layout == Layout::channels_last,
                         static_cast<int>(shape.size()), shape.data())) {}
    /// A dense channels-first tensor of floats.
    ConstTensor(const float *data, Span<const std::int64_t> shape)
        : c_(hnorm_channels_first(const_cast<float *>(data), static_cast<int>(shape.size()), shape.data())) {}
    /// A tensor of the C interface.
    explicit ConstTensor(const hnorm_tensor &c) : c_(c) {}

    /// The first element of a tensor of floats.
    const float *data() const noexcept { return static_cast<const float *>(c_.data); }
    /// The first element of a tensor of any type.
    const void *raw() const noexcept { return c_.data; }
    /// The number of axes.
    int rank() const noexcept { return c_.rank; }
    /// The extents.
    Span<const std::int64_t> shape() const noexcept { return {c_.shape, axes()}; }
    /// The distances between neighbours along each axis, in elements.
    Span<const std::int64_t> strides() const noexcept { return {c_.strides, axes()}; }
    /// The same memory with other distances between samples and between channels, in elements. So a
    /// tensor can be a part of a larger one.
    ConstTensor with_strides(std::int64_t stride_n, std::int64_t stride_c) const {
        return ConstTensor(c_, stride_n, stride_c);
    }
    /// The place of the tensor.
    Device device() const noexcept { return static_cast<Device>(c_.device); }
    /// The same tensor with its pointer taken as one of this device (on OpenCL a cl_mem). Nothing
    /// is copied.
    ConstTensor on(Device device) const {
        ConstTensor result = *this;
        result.c_.device = static_cast<hnorm_device>(device);
        return result;
    }
    /// The tensor for the C interface. It lives as long as this object.
    const hnorm_tensor *c() const noexcept { return &c_; }

protected:
    /// A tensor of the C interface with other strides of N and C.
    ConstTensor(const hnorm_tensor &c, std::int64_t stride_n, std::int64_t stride_c) : c_(c) {
        c_.strides[0] = stride_n;
        c_.strides[1] = stride_c;
    }
    /// The rank, or 0 if it is not valid.
    std::size_t axes() const noexcept {
        return c_.rank < 0 || c_.rank > HNORM_MAX_RANK ? 0 : static_cast<std::size_t>(c_.rank);
    }
    /// The tensor of the C interface.
    hnorm_tensor c_;
};

/// A tensor that may be written. It can be used as a ConstTensor.
class Tensor : public ConstTensor {
public:
    /// A dense channels-first tensor of floats.
    Tensor(float *data, Span<const std::int64_t> shape) : ConstTensor(data, shape) {}
    /// A dense tensor of any type and layout. The shape is (N, C, spatial...) in both layouts.
    Tensor(void *data, Type type, Layout layout, Span<const std::int64_t> shape)
        : ConstTensor(data, type, layout, shape) {}
    /// A tensor of the C interface.
    explicit Tensor(const hnorm_tensor &c) : ConstTensor(c) {}

    /// The first element of a tensor of floats.
    float *data() const noexcept { return static_cast<float *>(c_.data); }
    /// The first element of a tensor of any type.
    void *raw() const noexcept { return c_.data; }
    /// The same memory with other distances between samples and between channels, in elements.
    Tensor with_strides(std::int64_t stride_n, std::int64_t stride_c) const { return Tensor(c_, stride_n, stride_c); }
    /// The same tensor with its pointer taken as one of this device. Nothing is copied.
    Tensor on(Device device) const { return Tensor(*ConstTensor::on(device).c()); }

private:
    Tensor(const hnorm_tensor &c, std::int64_t stride_n, std::int64_t stride_c) : ConstTensor(c, stride_n, stride_c) {}
};

namespace header {
/// @cond internals

// Tensor for float *, ConstTensor for const float *.
template <typename T>
using TensorOf = std::enable_if_t<std::is_same_v<std::remove_const_t<T>, float>,
                                  std::conditional_t<std::is_const_v<T>, ConstTensor, Tensor>>;

/// @endcond
}  // namespace header

/// A dense channels-first tensor of floats, of any rank: {N, C, spatial...}.
///
/// The result is a Tensor for a float *, and a ConstTensor for a const float *.
template <typename T>
header::TensorOf<T> channels_first(T *data, std::initializer_list<std::int64_t> shape) {
    return {data, Span<const std::int64_t>(shape.begin(), shape.size())};
}
/// A dense channels-first tensor of floats, of any rank.
template <typename T>
header::TensorOf<T> channels_first(T *data, Span<const std::int64_t> shape) {
    return {data, shape};
}

/// A dense channels-last tensor of floats. The shape is {N, C, spatial...} here too.
///
/// The result is a Tensor for a float *, and a ConstTensor for a const float *.
template <typename T>
header::TensorOf<T> channels_last(T *data, std::initializer_list<std::int64_t> shape) {
    return {data, Type::f32, Layout::channels_last, Span<const std::int64_t>(shape.begin(), shape.size())};
}
/// A dense channels-last tensor of floats. The shape is {N, C, spatial...} here too.
template <typename T>
header::TensorOf<T> channels_last(T *data, Span<const std::int64_t> shape) {
    return {data, Type::f32, Layout::channels_last, shape};
}

/// A dense channels-first tensor of floats of rank 2. The compiler checks the rank.
template <typename T, std::size_t Rank>
header::TensorOf<T> nc(T *data, const std::int64_t (&shape)[Rank]) {
    static_assert(Rank == 2, "nc takes 2 extents");
    return {data, shape};
}
/// A dense channels-first tensor of floats of rank 3. The compiler checks the rank.
template <typename T, std::size_t Rank>
header::TensorOf<T> ncl(T *data, const std::int64_t (&shape)[Rank]) {
    static_assert(Rank == 3, "ncl takes 3 extents");
    return {data, shape};
}
/// A dense channels-first tensor of floats of rank 4: nchw(data, {32, 64, 56, 56}). The compiler
/// checks the rank.
template <typename T, std::size_t Rank>
header::TensorOf<T> nchw(T *data, const std::int64_t (&shape)[Rank]) {
    static_assert(Rank == 4, "nchw takes 4 extents");
    return {data, shape};
}
/// A dense channels-first tensor of floats of rank 5. The compiler checks the rank.
template <typename T, std::size_t Rank>
header::TensorOf<T> ncdhw(T *data, const std::int64_t (&shape)[Rank]) {
    static_assert(Rank == 5, "ncdhw takes 5 extents");
    return {data, shape};
}

}  // namespace HNORM_VERSION_NAMESPACE
}  // namespace hnorm
