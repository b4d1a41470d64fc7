// The table of compiled kernels: the only thing the runtime knows of them. Its rows are made by CMake from
// generators/kernels.json (what exists) and schedules/*.json (for which targets, with which values).
//
// Kernels see x(s, r, g0, g1) (docs/order.md). Tensors are 4-D float buffers with stride 1 in s and any stride elsewhere;
// statistics are 2-D double and gamma, beta 2-D float buffers over (g0, g1), of any stride, 0 included, as inputs;
// statistics written by a kernel have stride 1 in g0.
#pragma once

#include <HalideRuntime.h>

#include <cstdint>

namespace hnorm::detail {

using MomentsKernel = int (*)(halide_buffer_t *x, halide_buffer_t *mean, halide_buffer_t *m2);
using NormalizeKernel = int (*)(halide_buffer_t *x, halide_buffer_t *mean, halide_buffer_t *variance,
                                halide_buffer_t *gamma, halide_buffer_t *beta, double eps, halide_buffer_t *y);
using ForwardKernel = int (*)(halide_buffer_t *x, halide_buffer_t *gamma, halide_buffer_t *beta, double eps,
                              halide_buffer_t *y, halide_buffer_t *mean, halide_buffer_t *variance);

enum PlaneClass { kTiny, kSmall, kLarge, kPlaneClasses };

// The class of planes of S positions (docs/order.md, "Shape classes").
inline PlaneClass plane_class(int64_t positions) {
    return positions < 16 ? kTiny : positions <= 1024 ? kSmall : kLarge;
}

// One target's kernels, by class. "groups" works on whole groups, in parallel over them, and keeps a group in cache between
// its passes; "split" works inside groups, in parallel over chunks, for few large ones.
struct TargetKernels {
    const char *name;             // "x86-64-avx2"
    const char *const *features;  // CPU features it needs, null-terminated, as in /proc/cpuinfo ("avx2")
    MomentsKernel moments_groups[kPlaneClasses];
    MomentsKernel moments_split[kPlaneClasses];
    NormalizeKernel normalize[kPlaneClasses];
    ForwardKernel forward_groups[kPlaneClasses];
    // Dispatch values of the target's schedule file.
    int64_t serial_below;             // tensors of fewer elements run on the calling thread
    int64_t split_groups_per_thread;  // fewer groups than this per thread: use split
};

extern const TargetKernels kTargets[];  // best first
extern const int kTargetCount;

}  // namespace hnorm::detail
