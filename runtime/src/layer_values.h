// An array of a layer's, on the CPU or a device.
#pragma once

#include <algorithm>
#include <cinttypes>
#include <new>
#include <vector>

#include "device.h"
#include "error.h"

namespace hnorm::detail {

template <typename T>
class LayerValues {
public:
    LayerValues() = default;
    LayerValues(size_t size, T value) : host_(size, value), size_(size) {}
    ~LayerValues() { release(); }
    LayerValues(const LayerValues &) = delete;
    LayerValues &operator=(const LayerValues &) = delete;

    size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }
    T *data() { return device_ ? on_device_ : host_.data(); }
    const T *data() const { return device_ ? on_device_ : host_.data(); }

    hnorm_status fill(const char *function, T value) {
        if (device_ == nullptr || empty()) {
            std::fill(host_.begin(), host_.end(), value);
            return HNORM_OK;
        }
        const auto count = static_cast<int64_t>(size_);
        if constexpr (sizeof(T) == sizeof(float)) {
            return device_->fill_floats(function, on_device_, count, value);
        } else {
            return device_->fill_doubles(function, on_device_, count, value);
        }
    }

    // Changes the size. The old values are lost. Memory of a device only grows.
    hnorm_status resize(const char *function, size_t size) {
        if (device_ == nullptr) {
            HNORM_TRY(resize_host(function, size));
        } else if (size > capacity_) {
            release();
            void *memory = nullptr;
            HNORM_TRY(device_->allocate(function, bytes(size), &memory));
            on_device_ = static_cast<T *>(memory);
            capacity_ = size;
        }
        size_ = size;
        return HNORM_OK;
    }

    // Copies all values to an array on the CPU, or from it.
    hnorm_status copy_out(const char *function, T *to) const {
        if (device_ && !empty()) {
            return device_->copy_out(function, to, on_device_, bytes(size_));
        }
        std::copy(host_.begin(), host_.end(), to);
        return HNORM_OK;
    }
    hnorm_status copy_in(const char *function, const T *from) {
        if (device_ && !empty()) {
            return device_->copy_in(function, on_device_, from, bytes(size_));
        }
        std::copy_n(from, host_.size(), host_.begin());
        return HNORM_OK;
    }

    // Makes *to a copy of these values on a device. Null is the CPU.
    hnorm_status copy_to(const char *function, const Device *device, LayerValues *to) const {
        LayerValues host;
        HNORM_TRY(host.resize(function, size_));
        HNORM_TRY(copy_out(function, host.host_.data()));
        to->release();
        to->host_ = {};
        to->size_ = 0;
        to->device_ = device;
        if (device == nullptr) {
            to->host_.swap(host.host_);
            to->size_ = size_;
            return HNORM_OK;
        }
        HNORM_TRY(to->resize(function, size_));
        return to->copy_in(function, host.host_.data());
    }
    void swap(LayerValues &other) noexcept {
        std::swap(host_, other.host_);
        std::swap(device_, other.device_);
        std::swap(on_device_, other.on_device_);
        std::swap(size_, other.size_);
        std::swap(capacity_, other.capacity_);
    }

private:
    static int64_t bytes(size_t size) { return static_cast<int64_t>(size * sizeof(T)); }

    hnorm_status resize_host(const char *function, size_t size) {
        try {
            host_.resize(size);
        } catch (const std::bad_alloc &) {
            return fail(HNORM_OUT_OF_MEMORY, "%s: no memory for %zu values a layer keeps", function, size);
        }
        return HNORM_OK;
    }
    void release() {
        if (on_device_) {
            device_->release(on_device_);
        }
        on_device_ = nullptr;
        capacity_ = 0;
    }

    std::vector<T> host_;
    const Device *device_ = nullptr;
    T *on_device_ = nullptr;
    size_t size_ = 0, capacity_ = 0;
};

}  // namespace hnorm::detail
