// Tensors as callers of the API have them: dense, in the run's format, and just their memory
// (tensor.h's are made to find kernels that write where they must not). Free of Catch, for threads.
#pragma once

#include "format.h"

#include <hnorm/hnorm.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <numeric>
#include <utility>
#include <vector>

namespace api {

// What no result is, and every type can hold.
constexpr float kSentinel = -776;

// Values are numbered as they lie channels-first, whatever the layout; memory is what is compared.
class Elements {
public:
    explicit Elements(std::vector<int64_t> shape, float value = kSentinel)
        : shape_(std::move(shape)),
          positions_(std::accumulate(shape_.begin() + 2, shape_.end(), int64_t(1), std::multiplies<>())),
          memory_(static_cast<size_t>(shape_[0] * shape_[1] * positions_) * format_.element_size()) {
        fill(value);
    }
    Elements(const Elements &) = default;
    // The other's elements, of the same shape; the memory stays where it is.
    Elements &operator=(const Elements &other) {
        std::copy(other.memory_.begin(), other.memory_.end(), memory_.begin());
        return *this;
    }

    const std::vector<int64_t> &shape() const { return shape_; }
    size_t size() const { return memory_.size() / format_.element_size(); }
    float operator[](size_t i) const { return test::decode(memory_.data() + place(i), format_); }
    void set(size_t i, float value) {  // rounded
        test::encode(test::rounded(value, format_), format_, memory_.data() + place(i));
    }
    void set(const std::vector<float> &values) {
        for (size_t i = 0; i < values.size(); i++) set(i, values[i]);
    }
    void fill(float value) {
        char element[4];
        test::encode(test::rounded(value, format_), format_, element);
        for (size_t i = 0; i < memory_.size(); i++) memory_[i] = element[i % format_.element_size()];
    }
    std::vector<float> values() const {
        std::vector<float> result(size());
        for (size_t i = 0; i < result.size(); i++) result[i] = (*this)[i];
        return result;
    }

    // The i-th element in memory.
    template <typename T = void>
    T *data(int64_t i = 0) {
        return reinterpret_cast<T *>(memory_.data() + i * static_cast<int64_t>(format_.element_size()));
    }
    hnorm_tensor view() { return view(shape_); }
    // Of as many elements or fewer, from the first on.
    hnorm_tensor view(const std::vector<int64_t> &shape) {
        return hnorm_dense(data(), format_.type, format_.channels_last, static_cast<int>(shape.size()), shape.data());
    }
    const std::vector<char> &bytes() const { return memory_; }

private:
    // Of value i, in bytes.
    size_t place(size_t i) const {
        if (format_.channels_last) {
            const size_t channels = static_cast<size_t>(shape_[1]), positions = static_cast<size_t>(positions_);
            const size_t s = i % positions, c = i / positions % channels, n = i / positions / channels;
            i = (n * positions + s) * channels + c;
        }
        return i * format_.element_size();
    }

    test::TensorFormat format_ = test::tensor_format();
    std::vector<int64_t> shape_;
    int64_t positions_;
    std::vector<char> memory_;
};

inline bool all_are(const Elements &elements, float value) {
    for (size_t i = 0; i < elements.size(); i++)
        if (elements[i] != value) return false;
    return true;
}

inline bool same_bits(const Elements &a, const Elements &b) { return a.bytes() == b.bytes(); }

}  // namespace api
