// hnorm's arrays as Halide buffers: x(s, r, g0, g1) for tensors, (g0, g1) for statistics and parameters (kernels.h).
#pragma once

#include <HalideRuntime.h>

#include "tensor.h"

namespace hnorm::detail {

// A halide_buffer_t with its dimensions. Extents and strides were validated to fit 32 bits.
template <int Dimensions>
class Buffer {
public:
    struct Axis {
        int64_t extent, stride;
    };

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

// Which axes of (n, c, s) are reduced together: the samples of a channel, or nothing but positions.
enum class View { kBatch, kInstance };

inline View view_of(hnorm_group group) { return group == HNORM_BATCH ? View::kBatch : View::kInstance; }

// Kernels of 16-bit elements see their bits.
class TensorBuffer : public Buffer<4> {
public:
    TensorBuffer(const Planes &p, View view)
        : Buffer(p.data, p.type == HNORM_F32 ? halide_type_of<float>() : halide_type_of<uint16_t>(),
                 {{p.s, p.s == 1 ? 1 : p.stride_s},
                  {view == View::kBatch ? p.n : 1, view == View::kBatch ? p.stride_n : 0},
                  {p.c, p.c == 1 ? 1 : p.stride_c},
                  {view == View::kBatch ? 1 : p.n, view == View::kBatch ? 0 : p.stride_n}}) {}
};

// One value a group of the view: g0 is the channel, g1 the sample.
class GroupBuffer : public Buffer<2> {
public:
    template <typename T>
    GroupBuffer(const T *data, const Planes &p, View view, int64_t stride_n, int64_t stride_c)
        : Buffer(data, halide_type_of<T>(),
                 {{p.c, stride_c}, {view == View::kBatch ? 1 : p.n, view == View::kBatch ? 0 : stride_n}}) {}
};

}  // namespace hnorm::detail
