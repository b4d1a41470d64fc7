// The table of compiled kernels: the only thing the runtime knows of them. It is made by CMake from
// generators/kernels.json (what exists) and schedules/*.json (for which targets, with which values).
//
// Kernels see x(s, r, g0, g1) (docs/order.md). Tensors are 4-D float buffers with stride 1 in s and any stride elsewhere;
// statistics are 2-D double and gamma, beta 2-D float buffers over (g0, g1), of any stride, 0 included, as inputs;
// statistics written by a kernel have stride 1 in g0. slope: the bits of the
// activation's, a float, 1 for none (docs/order.md): slope_bits().
#pragma once

#include <HalideRuntime.h>

#include <cstdint>
#include <cstring>

namespace hnorm::detail {

using MomentsKernel = int (*)(halide_buffer_t *x, halide_buffer_t *mean, halide_buffer_t *m2);
using NormalizeKernel = int (*)(halide_buffer_t *x, halide_buffer_t *mean, halide_buffer_t *variance,
                                halide_buffer_t *gamma, halide_buffer_t *beta, double eps, int32_t slope,
                                halide_buffer_t *y);
using NormalizeResidualKernel = int (*)(halide_buffer_t *x, halide_buffer_t *mean, halide_buffer_t *variance,
                                        halide_buffer_t *gamma, halide_buffer_t *beta, double eps, int32_t slope,
                                        halide_buffer_t *residual, halide_buffer_t *y);
using ForwardKernel = int (*)(halide_buffer_t *x, halide_buffer_t *gamma, halide_buffer_t *beta, double eps,
                              int32_t slope, halide_buffer_t *y, halide_buffer_t *mean, halide_buffer_t *variance);
using ForwardResidualKernel = int (*)(halide_buffer_t *x, halide_buffer_t *gamma, halide_buffer_t *beta, double eps,
                                      int32_t slope, halide_buffer_t *residual, halide_buffer_t *y,
                                      halide_buffer_t *mean, halide_buffer_t *variance);

// sum_dy_xmu: of dy*(x - mean)
using BackwardReduceKernel = int (*)(halide_buffer_t *x, halide_buffer_t *dy, halide_buffer_t *mean,
                                     halide_buffer_t *variance, halide_buffer_t *gamma, halide_buffer_t *beta,
                                     double eps, int32_t slope, halide_buffer_t *sum_dy, halide_buffer_t *sum_dy_xmu);
using BackwardKernel = int (*)(halide_buffer_t *x, halide_buffer_t *dy, halide_buffer_t *mean,
                               halide_buffer_t *variance, halide_buffer_t *gamma, halide_buffer_t *beta, double eps,
                               int32_t slope, halide_buffer_t *dx, halide_buffer_t *sum_dy,
                               halide_buffer_t *sum_dy_xmu);
// g1, g2: docs/order.md, "Backward", as inputs; count: elements of a group, a 2-D double buffer over (g0, g1) too.
using BackwardApplyKernel = int (*)(halide_buffer_t *x, halide_buffer_t *dy, halide_buffer_t *mean,
                                    halide_buffer_t *variance, halide_buffer_t *gamma, halide_buffer_t *beta,
                                    halide_buffer_t *g1, halide_buffer_t *g2, halide_buffer_t *count, double eps,
                                    int32_t slope, halide_buffer_t *dx);
using ActivationBackwardKernel = int (*)(halide_buffer_t *y, halide_buffer_t *dy, int32_t slope, halide_buffer_t *dz);

inline int32_t slope_bits(float slope) {
    int32_t bits;
    std::memcpy(&bits, &slope, sizeof bits);
    return bits;
}

// docs/order.md, "Shape classes", in the manifest's order.
enum PlaneClass { kTiny, kSmall, kLarge, kLast, kLastTiny, kPlaneClasses };

// The class of channels-first planes of S positions, and of channels-last ones.
inline PlaneClass plane_class(int64_t positions) {
    return positions < 16 ? kTiny : positions <= 1024 ? kSmall : kLarge;
}
inline PlaneClass last_class(int64_t positions) { return positions < 16 ? kLastTiny : kLast; }

constexpr int kElementTypes = 3;  // hnorm_type, in its order

// The table: for every kernel of the manifest a row, [target][type][class], null where there is none. Each row is an object of
// its own in the archive, so that a program links only kernels of the functions that it calls.
template <typename Kernel>
using KernelRow = const Kernel[][kElementTypes][kPlaneClasses];

// With C's names: tests see them, while those of C++ are renamed in the archive.
extern "C" {
// "groups" kernels work on whole groups, in parallel over them, and keep a group in cache between its passes; "split" ones
// inside groups, in parallel over chunks, for few large ones. Channels-last there is one of each reduction, without "split",
// which works inside groups; the pointwise ones serve channels-last planes of any size as kLast.
extern KernelRow<MomentsKernel> hnorm_kernels_moments, hnorm_kernels_moments_split;
extern KernelRow<NormalizeKernel> hnorm_kernels_normalize;
extern KernelRow<NormalizeResidualKernel> hnorm_kernels_normalize_residual;
extern KernelRow<ForwardKernel> hnorm_kernels_forward;
extern KernelRow<ForwardResidualKernel> hnorm_kernels_forward_residual;
extern KernelRow<BackwardReduceKernel> hnorm_kernels_backward_reduce, hnorm_kernels_backward_reduce_split;
extern KernelRow<BackwardApplyKernel> hnorm_kernels_backward_apply;
extern KernelRow<BackwardKernel> hnorm_kernels_backward;
extern KernelRow<ActivationBackwardKernel> hnorm_kernels_activation_backward;
}

// A target that the project knows, in this library or not.
struct Target {
    const char *name;             // "x86-64-avx2"
    const char *const *features;  // CPU features it needs, null-terminated, as in /proc/cpuinfo ("avx2")
    int index;                    // of its kernels in every row; -1: not in this library
    // From the target's schedule file.
    int64_t groups_per_task[kPlaneClasses];  // of the groups kernels: channels worked on together
    int64_t least_busy_percent;              // of the threads, over a groups kernel's run: below it, use split
    int64_t serial_below;                    // tensors of fewer elements run on the calling thread
};

extern "C" {
extern const Target hnorm_targets[];  // best first
extern const int hnorm_targets_count;
}

// Whether to use the split kernels: when whole groups would leave too many threads idle in the last round. Both ways give
// the same bits. Groups are channels x samples (samples 1 in batch norm).
inline bool splits_groups(const Target &target, PlaneClass planes, int64_t channels, int64_t samples, int threads) {
    const int64_t per_task = target.groups_per_task[planes];
    const int64_t tasks = (channels + per_task - 1) / per_task * samples;
    const int64_t rounds = (tasks + threads - 1) / threads;
    return 100 * tasks < target.least_busy_percent * rounds * threads;
}

}  // namespace hnorm::detail
