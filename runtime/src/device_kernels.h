// The table of kernels that run on devices. CMake makes it, as it makes the table of CPU kernels
// (kernels.h). This file describes the differences.
//
// Buffers lie on the device. Tensors may have any strides, and so may values of groups that a
// kernel reads. Values of groups that a kernel writes have stride 1 in g0. Every kernel that
// multiplies and adds takes `zero`, which must be 0 (generators/chunks.h, Products).
#pragma once

#include "kernels.h"

namespace hnorm::detail {

// mean, and M2 / divisor; m, a, b of the pointwise part, by that as the variance; new running
// statistics. Values of groups that it writes may have any strides.
using DeviceMoments = int (*)(halide_buffer_t *x, halide_buffer_t *gamma, halide_buffer_t *beta, double eps,
                              double divisor, halide_buffer_t *running_mean, halide_buffer_t *running_variance,
                              double weight_before, double weight, double correction, int32_t zero,
                              halide_buffer_t *mean, halide_buffer_t *m2, halide_buffer_t *m, halide_buffer_t *a,
                              halide_buffer_t *b, halide_buffer_t *new_mean, halide_buffer_t *new_variance);
using DeviceNormalize = int (*)(halide_buffer_t *x, halide_buffer_t *m, halide_buffer_t *a, halide_buffer_t *b,
                                int32_t slope, int32_t zero, halide_buffer_t *y);
using DeviceNormalizeResidual = int (*)(halide_buffer_t *x, halide_buffer_t *m, halide_buffer_t *a, halide_buffer_t *b,
                                        int32_t slope, halide_buffer_t *residual, int32_t zero, halide_buffer_t *y);
// Computes the sums of dy and of dy*(x - mean), and from them m, scale, k1, power and k2, and new
// gradients of the parameters; a and b are those of forward, for the sign of the activation.
// variance, gamma, beta and eps have no effect on the sums if slope is 1. Values of groups that it
// writes may have any strides.
using DeviceBackwardReduce = int (*)(halide_buffer_t *x, halide_buffer_t *dy, halide_buffer_t *mean,
                                     halide_buffer_t *variance, halide_buffer_t *gamma, halide_buffer_t *beta,
                                     double eps, int32_t slope, halide_buffer_t *dgamma, halide_buffer_t *dbeta,
                                     int32_t keep, int32_t zero, halide_buffer_t *sum_dy, halide_buffer_t *sum_dy_xmu,
                                     halide_buffer_t *m, halide_buffer_t *scale, halide_buffer_t *k1,
                                     halide_buffer_t *power, halide_buffer_t *k2, halide_buffer_t *a,
                                     halide_buffer_t *b, halide_buffer_t *new_dgamma, halide_buffer_t *new_dbeta);
using DeviceBackwardApply = int (*)(halide_buffer_t *x, halide_buffer_t *dy, halide_buffer_t *m, halide_buffer_t *scale,
                                    halide_buffer_t *k1, halide_buffer_t *power, halide_buffer_t *k2,
                                    halide_buffer_t *a, halide_buffer_t *b, int32_t slope, int32_t zero,
                                    halide_buffer_t *dx);
using DeviceActivationBackward = int (*)(halide_buffer_t *y, halide_buffer_t *dy, int32_t slope, int32_t zero,
                                         halide_buffer_t *dz);

// Forward in one program: y, and mean, variance and new running statistics of each group. adds: 1
// where there is a residual; else 0, and the residual is any tensor of the shape. Values of groups
// that it writes may have any strides.
using DeviceFusedForward = int (*)(halide_buffer_t *x, halide_buffer_t *gamma, halide_buffer_t *beta, double eps,
                                   int32_t slope, int32_t adds, halide_buffer_t *residual,
                                   halide_buffer_t *running_mean, halide_buffer_t *running_variance,
                                   double weight_before, double weight, double correction, int32_t zero,
                                   halide_buffer_t *y, halide_buffer_t *mean, halide_buffer_t *variance,
                                   halide_buffer_t *new_mean, halide_buffer_t *new_variance);
// Backward in one program: dx, and the sums and new gradients of the parameters of each group.
using DeviceFusedBackward = int (*)(halide_buffer_t *x, halide_buffer_t *dy, halide_buffer_t *mean,
                                    halide_buffer_t *variance, halide_buffer_t *gamma, halide_buffer_t *beta,
                                    double eps, int32_t slope, halide_buffer_t *dgamma, halide_buffer_t *dbeta,
                                    int32_t keep, int32_t zero, halide_buffer_t *dx, halide_buffer_t *sum_dy,
                                    halide_buffer_t *sum_dy_xmu, halide_buffer_t *new_dgamma,
                                    halide_buffer_t *new_dbeta);

// generators/group_values.cpp
using DeviceFill = int (*)(double value, halide_buffer_t *out);
using DeviceWiden = int (*)(halide_buffer_t *in, halide_buffer_t *out);
// m, a, b
using DeviceCoefficients = int (*)(halide_buffer_t *mean, halide_buffer_t *variance, halide_buffer_t *gamma,
                                   halide_buffer_t *beta, double eps, int32_t zero, halide_buffer_t *m,
                                   halide_buffer_t *a, halide_buffer_t *b);
// weigh: 1 where g1 and g2 are still to be multiplied by gamma
using DeviceGradientCoefficients = int (*)(halide_buffer_t *mean, halide_buffer_t *variance, halide_buffer_t *gamma,
                                           halide_buffer_t *g1, halide_buffer_t *g2, halide_buffer_t *count, double eps,
                                           int32_t weigh, int32_t zero, halide_buffer_t *m, halide_buffer_t *scale,
                                           halide_buffer_t *k1, halide_buffer_t *power, halide_buffer_t *k2);
// g1, g2 and the count of channels, from sums and gamma of `samples` samples
using DeviceWeigh = int (*)(halide_buffer_t *sum_dy, halide_buffer_t *sum_dy_xmu, halide_buffer_t *gamma,
                            int32_t samples, double total, int32_t zero, halide_buffer_t *g1, halide_buffer_t *g2,
                            halide_buffer_t *count);
using DeviceParameterGradients = int (*)(halide_buffer_t *sum_dy, halide_buffer_t *sum_dy_xmu,
                                         halide_buffer_t *variance, halide_buffer_t *dgamma, halide_buffer_t *dbeta,
                                         double eps, int32_t samples, int32_t keep, int32_t zero,
                                         halide_buffer_t *new_dgamma, halide_buffer_t *new_dbeta);
using DeviceTrack = int (*)(halide_buffer_t *running_mean, halide_buffer_t *running_variance, halide_buffer_t *mean,
                            halide_buffer_t *variance, int32_t samples, double weight_before, double weight,
                            double correction, int32_t zero, halide_buffer_t *new_mean, halide_buffer_t *new_variance);

// Of groups of channels, for each of their channels: moments from those of channels, g1 and g2 from
// channels' sums, and values of groups.
using DeviceMergeChannels = int (*)(halide_buffer_t *mean, halide_buffer_t *m2, int32_t together, double size,
                                    double divisor, int32_t zero, halide_buffer_t *mean_of_group,
                                    halide_buffer_t *m2_of_group);
using DeviceWeighChannels = int (*)(halide_buffer_t *sum_dy, halide_buffer_t *sum_dy_xmu, halide_buffer_t *gamma,
                                    int32_t together, int32_t zero, halide_buffer_t *g1, halide_buffer_t *g2);
using DeviceRepeatChannels = int (*)(halide_buffer_t *in, int32_t together, halide_buffer_t *out);
// Floats as elements (generators/wide_gradient.cpp).
using DeviceNarrow = int (*)(halide_buffer_t *in, halide_buffer_t *out);

// Kernels by class. For the pointwise kernels, all channels-first planes of up to 1024 positions
// are kSmall. "narrow": few channels (docs/order.md), kLast alone. "aligned": a thread takes 16
// bytes at once (runtime/gpu/elements.h says of which tensors); not kTiny, and fused ones not
// kLarge.
struct DeviceElementKernels {
    DeviceMoments moments[kPlaneClasses], moments_aligned[kPlaneClasses], moments_few_channels[kPlaneClasses];
    DeviceNormalize normalize[kPlaneClasses], normalize_aligned[kPlaneClasses];
    DeviceNormalizeResidual normalize_residual[kPlaneClasses], normalize_residual_aligned[kPlaneClasses];
    DeviceBackwardReduce backward_reduce[kPlaneClasses], backward_reduce_aligned[kPlaneClasses],
        backward_reduce_few_channels[kPlaneClasses];
    DeviceBackwardApply backward_apply[kPlaneClasses], backward_apply_aligned[kPlaneClasses];
    DeviceActivationBackward activation_backward[kPlaneClasses], activation_backward_aligned[kPlaneClasses];
    DeviceFusedForward fused_forward[kPlaneClasses], fused_forward_aligned[kPlaneClasses];
    DeviceFusedBackward fused_backward[kPlaneClasses], fused_backward_aligned[kPlaneClasses];
};

// Which tensors take the fused kernels (runtime/gpu/fused.cpp), by the blocks of the device and the
// bytes that a block has of x. The defaults are in schedules/space/gpu.json, which says what the
// values are, and other values in the device's schedule file. The table's writer has these fields
// in alphabetical order.
struct DeviceDispatch {
    int64_t fused_alone_bytes, fused_blocks, fused_bytes, fused_short_blocks, fused_short_bytes;
    // By class, the groups that a block of the plain fused kernel takes: the knob that it is
    // compiled with. 0: there is no such kernel.
    int64_t fused_groups[kPlaneClasses];
};

struct DeviceKernels {
    const char *name;  // "cuda"
    DeviceDispatch forward[kElementTypes], backward[kElementTypes];
    DeviceElementKernels of[kElementTypes];
    DeviceFill fill_float, fill;
    DeviceWiden widen;
    DeviceCoefficients coefficients;
    DeviceGradientCoefficients gradient_coefficients;
    DeviceWeigh weigh;
    DeviceParameterGradients parameter_gradients;
    DeviceTrack track;
    DeviceMergeChannels merge_channels;
    DeviceWeighChannels weigh_channels;
    DeviceRepeatChannels repeat_channels;
    DeviceActivationBackward wide_gradient_f16, wide_gradient_bf16;  // dz as floats
    DeviceNarrow narrow_f16, narrow_bf16;
};

extern "C" {
extern const DeviceKernels hnorm_devices[];
extern const int hnorm_devices_count;
}

}  // namespace hnorm::detail
