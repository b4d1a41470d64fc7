/// @file
/// hnorm on CUDA and OpenCL devices in C++17.
///
/// These functions call gpu.h, which describes tensors and arrays on devices. hnorm.hpp does not
/// include this header, because a program that uses it must link hnorm::gpu.
///
/// @code{.cpp}
/// hnorm::use_cuda(nullptr, stream);
/// hnorm::DeviceArray<float> input(hnorm::Device::cuda, values);
/// hnorm::DeviceArray<float> output(hnorm::Device::cuda, values.size());
/// hnorm::BatchNorm bn(64);
/// bn.to(hnorm::Device::cuda);
/// const auto x = hnorm::nchw(input.data(), {32, 64, 56, 56}).on(hnorm::Device::cuda);
/// const auto y = hnorm::nchw(output.data(), {32, 64, 56, 56}).on(hnorm::Device::cuda);
/// bn.forward(x, y);             // queued on the stream
/// values = output.copy_out();   // waits for the result
/// @endcode
#pragma once

#include <hnorm/gpu.h>
#include <hnorm/tensor.hpp>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace hnorm {
inline namespace HNORM_VERSION_NAMESPACE {

/// Chooses the CUDA context and stream for later calls of this thread (hnorm_use_cuda).
///
/// @param context  A CUcontext, or nullptr for the current one.
/// @param stream   A CUstream or cudaStream_t, or nullptr for the default stream.
inline void use_cuda(void *context = nullptr, void *stream = nullptr) {
    header::require_ok(hnorm_use_cuda(context, stream));
}
/// Chooses the OpenCL context and queue for later calls of this thread (hnorm_use_opencl).
///
/// @param context  A cl_context, or nullptr for the context of the queue.
/// @param queue    A cl_command_queue, or nullptr for the queue of hnorm.
inline void use_opencl(void *context = nullptr, void *queue = nullptr) {
    header::require_ok(hnorm_use_opencl(context, queue));
}
/// Waits until the stream of the calling thread has done all its work.
inline void synchronize(Device device) {
    header::require_ok(hnorm_device_synchronize(static_cast<hnorm_device>(device)));
}
/// Frees everything that hnorm keeps in the context of the calling thread (hnorm_device_release).
///
/// Call it before the program destroys the context.
inline void release(Device device) { header::require_ok(hnorm_device_release(static_cast<hnorm_device>(device))); }

/// An array on a device, which frees its memory itself.
///
/// It lies in the context that the calling thread has when it makes the array. It can be moved, and
/// cannot be copied.
template <typename T>
class DeviceArray {
public:
    /// Allocates an array. Its values are unspecified.
    DeviceArray(Device device, std::size_t size) : device_(static_cast<hnorm_device>(device)), size_(size) {
        void *memory = nullptr;
        header::require_ok(hnorm_device_allocate(device_, size * sizeof(T), &memory));
        data_ = static_cast<T *>(memory);
    }
    /// Allocates an array with these values.
    DeviceArray(Device device, const std::vector<T> &values) : DeviceArray(device, values.size()) { copy_in(values); }
    /// Frees the memory, after the work that uses it (hnorm_device_free).
    ~DeviceArray() {
        if (data_) (void)hnorm_device_free(device_, data_);
    }
    /// Takes over the memory of the other array, which is empty afterwards.
    DeviceArray(DeviceArray &&other) noexcept { *this = std::move(other); }
    /// Exchanges the memory of the two arrays.
    DeviceArray &operator=(DeviceArray &&other) noexcept {
        std::swap(device_, other.device_);
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        return *this;
    }

    /// The pointer on the device: an address, or a cl_mem on OpenCL.
    T *data() const noexcept { return data_; }
    /// The number of values.
    std::size_t size() const noexcept { return size_; }
    /// The array as an argument of a function, to read and to write.
    operator Span<T>() const noexcept { return {data_, size_}; }
    /// The array as an argument of a function, to read.
    operator Span<const T>() const noexcept { return {data_, size_}; }

    /// Copies values to the device, and waits for the copy. `values` must have size() values.
    void copy_in(const std::vector<T> &values) {
        if (values.size() != size_) {
            throw Error(HNORM_INVALID_ARGUMENT, "DeviceArray::copy_in: values holds " + std::to_string(values.size()) +
                                                    " values but must hold " + std::to_string(size_));
        }
        header::require_ok(hnorm_device_copy_in(device_, data_, values.data(), size_ * sizeof(T)));
    }
    /// Copies the values from the device, after the work that the stream already has.
    std::vector<T> copy_out() const {
        std::vector<T> values(size_);
        header::require_ok(hnorm_device_copy_out(device_, values.data(), data_, size_ * sizeof(T)));
        return values;
    }

private:
    hnorm_device device_ = HNORM_CPU;
    T *data_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace HNORM_VERSION_NAMESPACE
}  // namespace hnorm
