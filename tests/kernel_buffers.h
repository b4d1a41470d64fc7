// Test tensors and statistics as the arguments of kernels, for tests that call these from the
// runtime's private table.
#pragma once

#include "calls.h"
#include "kernels.h"

#include <cstdint>
#include <stdexcept>
#include <vector>

namespace test {

// A buffer as kernels.h describes them; all extents from `extents`.
struct Buffer {
    halide_dimension_t dims[4];
    halide_buffer_t raw = {};

    Buffer(void *data, halide_type_t type, const std::vector<int64_t> &extents, const std::vector<int64_t> &strides) {
        for (size_t i = 0; i < extents.size(); i++)
            dims[i] = halide_dimension_t(0, static_cast<int32_t>(extents[i]), static_cast<int32_t>(strides[i]));
        raw.host = static_cast<uint8_t *>(data);
        raw.type = type;
        raw.dimensions = static_cast<int>(extents.size());
        raw.dim = dims;
    }
    Buffer(const Buffer &) = delete;
    Buffer &operator=(const Buffer &) = delete;
};

inline const halide_type_t kFloat(halide_type_float, 32), kDouble(halide_type_float, 64), kHalf(halide_type_uint, 16),
    kInt(halide_type_int, 32);

// The view of docs/order.md: x(s, r, g0, g1).
struct View {
    int64_t planes, g0, g1, stride_r, stride_g0, stride_g1;

    View(const Tensor &x, hnorm_group group) {
        const bool batch = group == HNORM_BATCH;
        planes = batch ? x.samples() : 1;
        g0 = x.channels();
        g1 = batch ? 1 : x.samples();
        stride_r = batch ? x.stride_n() : 0;
        stride_g0 = x.stride_c();
        stride_g1 = batch ? 0 : x.stride_n();
    }
};

struct TensorBuffer : Buffer {
    TensorBuffer(const Tensor &x, hnorm_group group) : TensorBuffer(x, View(x, group)) {}

private:
    TensorBuffer(const Tensor &x, const View &v)
        : Buffer(x.store(), x.format().type == HNORM_F32 ? kFloat : kHalf, {x.positions(), v.planes, v.g0, v.g1},
                 {x.stride_s(), v.stride_r, v.stride_g0, v.stride_g1}) {}
};

// Values of groups, dense over (g0, g1).
struct GroupBuffer : Buffer {
    GroupBuffer(std::vector<float> &values, const View &v) : Buffer(values.data(), kFloat, {v.g0, v.g1}, {1, v.g0}) {}
};

// What a kernel writes besides a tensor, dense over `extents`, with a guard behind.
template <typename T>
struct ResultBuffer {
    static constexpr T kUnwritten = static_cast<T>(-77);
    std::vector<T> values;
    Buffer buffer;

    explicit ResultBuffer(const std::vector<int64_t> &extents)
        : values(static_cast<size_t>(product(extents)) + 1, kUnwritten),
          buffer(values.data(), type(T()), extents, strides(extents)) {}
    std::vector<T> result() const {
        if (values.back() != kUnwritten) throw std::logic_error("values written beyond the last group");
        return std::vector<T>(values.begin(), values.end() - 1);
    }

private:
    static halide_type_t type(float) { return kFloat; }
    static halide_type_t type(double) { return kDouble; }
    static halide_type_t type(int32_t) { return kInt; }
    static int64_t product(const std::vector<int64_t> &extents) {
        int64_t result = 1;
        for (int64_t extent : extents) result *= extent;
        return result;
    }
    static std::vector<int64_t> strides(const std::vector<int64_t> &extents) {
        std::vector<int64_t> result = {1};
        for (size_t i = 0; i + 1 < extents.size(); i++) result.push_back(result.back() * extents[i]);
        return result;
    }
};

}  // namespace test
