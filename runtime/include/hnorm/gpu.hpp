// hnorm on CUDA and OpenCL devices for C++17, over gpu.h, which says what tensors and arrays of a device are. Not included by
// hnorm.hpp: it is for programs that link hnorm::gpu.
#pragma once

#include <hnorm/gpu.h>
#include <hnorm/tensor.hpp>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace hnorm {

// The calling thread's context and stream from now on (hnorm_use_cuda): a CUcontext and a CUstream, or cudaStream_t.
inline void use_cuda(void *context = nullptr, void *stream = nullptr) {
    header::require_ok(hnorm_use_cuda(context, stream));
}
// Likewise a cl_context and a cl_command_queue (hnorm_use_opencl).
inline void use_opencl(void *context = nullptr, void *queue = nullptr) {
    header::require_ok(hnorm_use_opencl(context, queue));
}
// Waits for what the calling thread's stream has been given.
inline void synchronize(Device device) {
    header::require_ok(hnorm_device_synchronize(static_cast<hnorm_device>(device)));
}
// Before the thread's context is destroyed (hnorm_device_release).
inline void release(Device device) { header::require_ok(hnorm_device_release(static_cast<hnorm_device>(device))); }

// An array on a device, of the calling thread's context. Movable, not copyable; a moved-from one is empty.
template <typename T>
class DeviceArray {
public:
    DeviceArray(Device device, std::size_t size) : device_(static_cast<hnorm_device>(device)), size_(size) {
        void *memory = nullptr;
        header::require_ok(hnorm_device_allocate(device_, size * sizeof(T), &memory));
        data_ = static_cast<T *>(memory);
    }
    DeviceArray(Device device, const std::vector<T> &values) : DeviceArray(device, values.size()) { copy_in(values); }
    ~DeviceArray() {
        if (data_) (void)hnorm_device_free(device_, data_);
    }
    DeviceArray(DeviceArray &&other) noexcept { *this = std::move(other); }
    DeviceArray &operator=(DeviceArray &&other) noexcept {
        std::swap(device_, other.device_);
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        return *this;
    }

    // The device's: an address, or on OpenCL a cl_mem.
    T *data() const noexcept { return data_; }
    std::size_t size() const noexcept { return size_; }
    operator Span<T>() const noexcept { return {data_, size_}; }
    operator Span<const T>() const noexcept { return {data_, size_}; }

    // As many values, to and from; both wait for what the stream has been given.
    void copy_in(const std::vector<T> &values) {
        if (values.size() != size_) {
            throw Error(HNORM_INVALID_ARGUMENT, "DeviceArray::copy_in: values holds " + std::to_string(values.size()) +
                                                    " values but must hold " + std::to_string(size_));
        }
        header::require_ok(hnorm_device_copy_in(device_, data_, values.data(), size_ * sizeof(T)));
    }
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

}  // namespace hnorm
