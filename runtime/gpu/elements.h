// Tensors as arguments of a device's kernels, and which of them kernels can read 16 bytes at a
// time.
#pragma once

#include <initializer_list>

#include "launch.h"

namespace hnorm::gpu {

class Elements : public On<TensorBuffer> {
public:
    // The stride of an axis of one place, which is never used, is a multiple of anything.
    Elements(const Call &on, const View &view) : On<TensorBuffer>(on, view) {
        halide_buffer_t *const buffer = *this;
        for (int i = 0; i < buffer->dimensions; ++i) {
            if (buffer->dim[i].extent == 1) buffer->dim[i].stride = 0;
        }
    }
};

// Whether rows of adjacent elements begin at multiples of 16 bytes and are as long, in all of these
// tensors of one shape: planes or, channels-last, the channels of a position.
bool are_aligned(const Call &on, PlaneClass planes, std::initializer_list<const View *> tensors);

// The kernel for these tensors.
template <typename Kernel>
Kernel chosen(const Call &on, Kernel const (&plain)[kPlaneClasses], Kernel const (&aligned)[kPlaneClasses],
              PlaneClass planes, std::initializer_list<const View *> tensors) {
    return aligned[planes] && are_aligned(on, planes, tensors) ? aligned[planes] : plain[planes];
}

}  // namespace hnorm::gpu
