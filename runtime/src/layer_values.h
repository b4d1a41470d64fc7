// An array of a layer's, on the CPU or a device.
#pragma once

#include <new>
#include <utility>

#include "device.h"
#include "error.h"

namespace hnorm::detail {

template <typename T>
class LayerValues {
public:
    LayerValues() = default;
    // On the CPU. Throws std::bad_alloc.
    LayerValues(size_t size, T value) {
        if (resize("", size) != HNORM_OK || fill("", value) != HNORM_OK) {
            throw std::bad_alloc();
        }
    }
    ~LayerValues() { storage_->release(data_); }
    LayerValues(const LayerValues &) = delete;
    LayerValues &operator=(const LayerValues &) = delete;

    size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }
    T *data() { return data_; }
    const T *data() const { return data_; }

    hnorm_status fill(const char *function, T value) {
        const auto count = static_cast<int64_t>(size_);
        if constexpr (sizeof(T) == sizeof(float)) {
            return storage_->fill_floats(function, data_, count, value);
        } else {
            return storage_->fill_doubles(function, data_, count, value);
        }
    }

    // Changes the size. The old values are lost. The memory only grows.
    hnorm_status resize(const char *function, size_t size) {
        if (size > capacity_) {
            void *memory = nullptr;
            storage_->release(std::exchange(data_, nullptr));
            size_ = capacity_ = 0;
            HNORM_TRY(storage_->allocate(function, bytes(size), &memory));
            data_ = static_cast<T *>(memory);
            capacity_ = size;
        }
        size_ = size;
        return HNORM_OK;
    }

    // Copies all values to an array on the CPU, or from it.
    hnorm_status copy_out(const char *function, T *to) const {
        return empty() ? HNORM_OK : storage_->copy_out(function, to, data_, bytes(size_));
    }
    hnorm_status copy_in(const char *function, const T *from) {
        return empty() ? HNORM_OK : storage_->copy_in(function, data_, from, bytes(size_));
    }

    // Makes *to, which is empty, a copy of these values in another storage.
    hnorm_status copy_to(const char *function, const Storage &storage, LayerValues *to) const {
        LayerValues host;
        HNORM_TRY(host.resize(function, size_));
        HNORM_TRY(copy_out(function, host.data_));
        to->move_to(storage);
        HNORM_TRY(to->resize(function, size_));
        return to->copy_in(function, host.data_);
    }
    // Forgets the values. Later ones lie in the storage.
    void move_to(const Storage &storage) {
        storage_->release(std::exchange(data_, nullptr));
        size_ = capacity_ = 0;
        storage_ = &storage;
    }
    void swap(LayerValues &other) noexcept {
        std::swap(storage_, other.storage_);
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        std::swap(capacity_, other.capacity_);
    }

private:
    static int64_t bytes(size_t size) { return static_cast<int64_t>(size * sizeof(T)); }

    const Storage *storage_ = &kCpuStorage;
    T *data_ = nullptr;
    size_t size_ = 0, capacity_ = 0;
};

}  // namespace hnorm::detail
