// Test tensors and statistics as the arguments of kernels, for tests that call these from the runtime's private table.
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

inline const halide_type_t kFloat(halide_type_float, 32), kDouble(halide_type_float, 64), kHalf(halide_type_uint, 16);

// The view of docs/order.md: x(s, r, g0, g1).
struct View {
    int64_t planes, g0, g1, stride_r, stride_g0, stride_g1;

    View(const Tensor &x, hnorm_group group) {
        const bool batch = group == HNORM_BATCH;
        planes = batch ? x.samples() : 1;
        g0 = x.channels();
        g1 = batch ? 1 : x.samples();
        stride_r = batch ? x.stride_n() : 1;
        stride_g0 = x.stride_c();
        stride_g1 = batch ? 1 : x.stride_n();
    }
};

struct TensorBuffer : Buffer {
    TensorBuffer(const Tensor &x, hnorm_group group) : TensorBuffer(x, View(x, group)) {}

private:
    TensorBuffer(const Tensor &x, const View &v)
        : Buffer(x.store(), x.format().type == HNORM_F32 ? kFloat : kHalf, {x.positions(), v.planes, v.g0, v.g1},
                 {x.stride_s(), v.stride_r, v.stride_g0, v.stride_g1}) {}
};

// Statistics: dense over (g0, g1), with a guard behind.
struct StatisticsBuffer {
    std::vector<double> values;
    Buffer buffer;
    explicit StatisticsBuffer(const View &v)
        : values(static_cast<size_t>(v.g0 * v.g1) + 1, -1), buffer(values.data(), kDouble, {v.g0, v.g1}, {1, v.g0}) {}
    std::vector<double> result() const {
        if (values.back() != -1) throw std::logic_error("statistics written beyond the last group");
        return std::vector<double>(values.begin(), values.end() - 1);
    }
};

}  // namespace test
