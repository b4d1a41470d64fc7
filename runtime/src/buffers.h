// Arrays as Halide buffers: x(s, r, g0, g1) for tensors, (g0, g1) for values of groups (kernels.h).
#pragma once

#include <HalideRuntime.h>

#include <utility>

#include "view.h"

namespace hnorm::detail {

// A halide_buffer_t with its dimensions. Extents and strides were validated to fit 32 bits.
template <int Dimensions>
class Buffer {
public:
    Buffer(const void *data, halide_type_t type, const Axis (&axes)[Dimensions]) {
        // Halide's inputs are not const; kernels do not write them.
        buffer_.host = static_cast<uint8_t *>(const_cast<void *>(data));
        buffer_.type = type;
        buffer_.dimensions = Dimensions;
        buffer_.dim = dimensions_;
        for (int i = 0; i < Dimensions; ++i) {
            dimensions_[i] = {0, static_cast<int32_t>(axes[i].extent), static_cast<int32_t>(axes[i].stride)};
        }
    }
    Buffer(const Buffer &) = delete;
    Buffer &operator=(const Buffer &) = delete;

    operator halide_buffer_t *() { return &buffer_; }

private:
    halide_dimension_t dimensions_[Dimensions];
    halide_buffer_t buffer_ = {};
};

// Kernels of 16-bit elements see their bits.
class TensorBuffer : public Buffer<4> {
public:
    TensorBuffer(const View &v)
        : Buffer(v.data, v.type == HNORM_F32 ? halide_type_of<float>() : halide_type_of<uint16_t>(),
                 {{v.s.extent, v.s.extent == 1 ? 1 : v.s.stride},
                  v.r,
                  {v.g0.extent, v.g0.extent == 1 ? 1 : v.g0.stride},
                  v.g1}) {}
};

// Values of the groups of a view: those of g1 lie stride_1 apart, those of g0 stride_0.
class GroupBuffer : public Buffer<2> {
public:
    template <typename T>
    GroupBuffer(const T *data, const View &view, int64_t stride_1, int64_t stride_0 = 1)
        : Buffer(data, halide_type_of<T>(),
                 {{view.g0.extent, stride_0}, {view.g1.extent, view.g1.extent == 1 ? 0 : stride_1}}) {}
    // A dense array with one value a group.
    template <typename T>
    GroupBuffer(const T *data, const View &view) : GroupBuffer(data, view, view.g0.extent) {}
};

}  // namespace hnorm::detail
