// hnorm: errors, views of arrays and tensors for C++. Included by hnorm.hpp.
#pragma once

#include <hnorm/hnorm.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

namespace hnorm {

// What every function here throws when it fails: the status, and as what() the sentence of hnorm_last_error().
class Error : public std::runtime_error {
public:
    Error(hnorm_status status, const std::string &sentence) : std::runtime_error(sentence), status_(status) {}
    hnorm_status status() const noexcept { return status_; }

private:
    hnorm_status status_;
};

namespace header {

inline void require_ok(hnorm_status status) {
    if (status != HNORM_OK) {
        throw Error(status, hnorm_last_error());
    }
}

}  // namespace header

// A view of an array that someone else owns: made from a vector, a std::array, a C array, a pointer and a length, or
// nullptr (no array). A view of const elements may be made of a temporary, which must outlive the call it is passed to.
template <typename T>
class Span {
public:
    Span() noexcept = default;
    Span(std::nullptr_t) noexcept {}
    // No elements is no array, whatever the pointer: an emptied vector still has one.
    Span(T *data, std::size_t size) noexcept : data_(size ? data : nullptr), size_(size) {}
    template <std::size_t N>
    Span(T (&array)[N]) noexcept : Span(array, N) {}
    template <typename Container,
              typename = std::enable_if_t<std::is_convertible_v<
                  std::remove_pointer_t<decltype(std::declval<Container &>().data())> (*)[], T (*)[]>>>
    Span(Container &container) noexcept : Span(container.data(), container.size()) {}
    template <typename Container,
              typename = std::enable_if_t<std::is_convertible_v<
                  std::remove_pointer_t<decltype(std::declval<const Container &>().data())> (*)[], T (*)[]>>,
              typename = void>
    Span(const Container &container) noexcept : Span(container.data(), container.size()) {}

    T *data() const noexcept { return data_; }
    std::size_t size() const noexcept { return size_; }
    bool empty() const noexcept { return size_ == 0; }
    T *begin() const noexcept { return data_; }
    T *end() const noexcept { return data_ + size_; }
    T &operator[](std::size_t i) const noexcept { return data_[i]; }

private:
    T *data_ = nullptr;
    std::size_t size_ = 0;
};

// What elements are (hnorm_type), and which are adjacent in memory: positions, or channels. Shapes are (N, C, spatial...) in both.
enum class Type { f32 = HNORM_F32, f16 = HNORM_F16, bf16 = HNORM_BF16 };
enum class Layout { channels_first, channels_last };

// Where a tensor lies (hnorm_device; gpu.hpp).
enum class Device { cpu = HNORM_CPU, cuda = HNORM_CUDA, opencl = HNORM_OPENCL };

// A tensor (N, C, spatial...) that is only read: shape, strides (in elements) and memory owned by the caller.
class ConstTensor {
public:
    // A dense tensor of any type and layout.
    ConstTensor(const void *data, Type type, Layout layout, Span<const std::int64_t> shape)
        : c_(hnorm_dense(const_cast<void *>(data), static_cast<hnorm_type>(type), layout == Layout::channels_last,
                         static_cast<int>(shape.size()), shape.data())) {}
    // A dense tensor. Rank 2 to 5: other ranks are kept and refused, in words, by the functions.
    ConstTensor(const float *data, Span<const std::int64_t> shape)
        : c_(hnorm_channels_first(const_cast<float *>(data), static_cast<int>(shape.size()), shape.data())) {}
    explicit ConstTensor(const hnorm_tensor &c) : c_(c) {}

    // Of f32 tensors; raw() is the memory of all.
    const float *data() const noexcept { return static_cast<const float *>(c_.data); }
    const void *raw() const noexcept { return c_.data; }
    int rank() const noexcept { return c_.rank; }
    Span<const std::int64_t> shape() const noexcept { return {c_.shape, axes()}; }
    Span<const std::int64_t> strides() const noexcept { return {c_.strides, axes()}; }
    // The same memory with other strides between samples and between channels: a view into a larger tensor.
    ConstTensor with_strides(std::int64_t stride_n, std::int64_t stride_c) const {
        return ConstTensor(c_, stride_n, stride_c);
    }
    Device device() const noexcept { return static_cast<Device>(c_.device); }
    // The same tensor, whose pointer is a device's: on OpenCL a cl_mem.
    ConstTensor on(Device device) const {
        ConstTensor result = *this;
        result.c_.device = static_cast<hnorm_device>(device);
        return result;
    }
    const hnorm_tensor *c() const noexcept { return &c_; }

protected:
    ConstTensor(const hnorm_tensor &c, std::int64_t stride_n, std::int64_t stride_c) : c_(c) {
        c_.strides[0] = stride_n;
        c_.strides[1] = stride_c;
    }
    std::size_t axes() const noexcept {
        return c_.rank < 0 || c_.rank > HNORM_MAX_RANK ? 0 : static_cast<std::size_t>(c_.rank);
    }
    hnorm_tensor c_;
};

// A tensor that may be written; usable wherever a ConstTensor is.
class Tensor : public ConstTensor {
public:
    Tensor(float *data, Span<const std::int64_t> shape) : ConstTensor(data, shape) {}
    Tensor(void *data, Type type, Layout layout, Span<const std::int64_t> shape)
        : ConstTensor(data, type, layout, shape) {}
    explicit Tensor(const hnorm_tensor &c) : ConstTensor(c) {}

    float *data() const noexcept { return static_cast<float *>(c_.data); }
    void *raw() const noexcept { return c_.data; }
    Tensor with_strides(std::int64_t stride_n, std::int64_t stride_c) const { return Tensor(c_, stride_n, stride_c); }
    Tensor on(Device device) const { return Tensor(*ConstTensor::on(device).c()); }

private:
    Tensor(const hnorm_tensor &c, std::int64_t stride_n, std::int64_t stride_c) : ConstTensor(c, stride_n, stride_c) {}
};

namespace header {

// Tensor for float *, ConstTensor for const float *.
template <typename T>
using TensorOf = std::enable_if_t<std::is_same_v<std::remove_const_t<T>, float>,
                                  std::conditional_t<std::is_const_v<T>, ConstTensor, Tensor>>;

}  // namespace header

// Dense channels-first tensors of any rank, {N, C, spatial...}.
template <typename T>
header::TensorOf<T> channels_first(T *data, std::initializer_list<std::int64_t> shape) {
    return {data, Span<const std::int64_t>(shape.begin(), shape.size())};
}
template <typename T>
header::TensorOf<T> channels_first(T *data, Span<const std::int64_t> shape) {
    return {data, shape};
}

// Dense channels-last tensors; the shape is {N, C, spatial...} here too.
template <typename T>
header::TensorOf<T> channels_last(T *data, std::initializer_list<std::int64_t> shape) {
    return {data, Type::f32, Layout::channels_last, Span<const std::int64_t>(shape.begin(), shape.size())};
}
template <typename T>
header::TensorOf<T> channels_last(T *data, Span<const std::int64_t> shape) {
    return {data, Type::f32, Layout::channels_last, shape};
}

// Channels-first, with the rank in the name, checked at compile time: nchw(data, {32, 64, 56, 56}).
template <typename T, std::size_t Rank>
header::TensorOf<T> nc(T *data, const std::int64_t (&shape)[Rank]) {
    static_assert(Rank == 2, "nc takes 2 extents");
    return {data, shape};
}
template <typename T, std::size_t Rank>
header::TensorOf<T> ncl(T *data, const std::int64_t (&shape)[Rank]) {
    static_assert(Rank == 3, "ncl takes 3 extents");
    return {data, shape};
}
template <typename T, std::size_t Rank>
header::TensorOf<T> nchw(T *data, const std::int64_t (&shape)[Rank]) {
    static_assert(Rank == 4, "nchw takes 4 extents");
    return {data, shape};
}
template <typename T, std::size_t Rank>
header::TensorOf<T> ncdhw(T *data, const std::int64_t (&shape)[Rank]) {
    static_assert(Rank == 5, "ncdhw takes 5 extents");
    return {data, shape};
}

}  // namespace hnorm
