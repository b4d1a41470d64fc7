// The table of kernels that run on devices, made by CMake as that of CPUs (kernels.h): what differs is said here.
//
// Buffers lie on the device. Tensors may have any strides; statistics that a kernel writes have stride 1 in g0. Those that are
// summed may begin before position 0, at the least position of their buffer: what lies there is not looked at. So kernels see
// the end of a tensor that has no address of its own (cl_mem). Every kernel
// that multiplies and adds takes `zero`, which must be 0 (generators/chunks.h, Products).
#pragma once

#include "kernels.h"

namespace hnorm::detail {

// mean, and M2 / divisor
using DeviceMoments = int (*)(halide_buffer_t *x, double divisor, int32_t zero, halide_buffer_t *mean,
                              halide_buffer_t *m2);
using DeviceNormalize = int (*)(halide_buffer_t *x, halide_buffer_t *mean, halide_buffer_t *variance,
                                halide_buffer_t *gamma, halide_buffer_t *beta, double eps, int32_t slope, int32_t zero,
                                halide_buffer_t *y);
using DeviceNormalizeResidual = int (*)(halide_buffer_t *x, halide_buffer_t *mean, halide_buffer_t *variance,
                                        halide_buffer_t *gamma, halide_buffer_t *beta, double eps, int32_t slope,
                                        halide_buffer_t *residual, int32_t zero, halide_buffer_t *y);
using DeviceBackwardReduce = int (*)(halide_buffer_t *x, halide_buffer_t *dy, halide_buffer_t *mean,
                                     halide_buffer_t *variance, halide_buffer_t *gamma, halide_buffer_t *beta,
                                     double eps, int32_t slope, int32_t zero, halide_buffer_t *sum_dy,
                                     halide_buffer_t *sum_dy_xmu);
using DeviceBackwardApply = int (*)(halide_buffer_t *x, halide_buffer_t *dy, halide_buffer_t *mean,
                                    halide_buffer_t *variance, halide_buffer_t *gamma, halide_buffer_t *beta,
                                    halide_buffer_t *g1, halide_buffer_t *g2, halide_buffer_t *count, double eps,
                                    int32_t slope, double total, int32_t zero, halide_buffer_t *dx);
using DeviceActivationBackward = int (*)(halide_buffer_t *y, halide_buffer_t *dy, int32_t slope, int32_t zero,
                                         halide_buffer_t *dz);

// generators/group_values.cpp
using DeviceFill = int (*)(double value, halide_buffer_t *out);
using DeviceWiden = int (*)(halide_buffer_t *in, halide_buffer_t *out);
using DeviceRepeat = int (*)(halide_buffer_t *in, int32_t channels, halide_buffer_t *out);
using DeviceMergeParts = int (*)(halide_buffer_t *means, halide_buffer_t *m2s, halide_buffer_t *rest_mean,
                                 halide_buffer_t *rest_m2, int32_t channels, int32_t parts, double part_count,
                                 double rest_count, double total, double divisor, int32_t zero, halide_buffer_t *mean,
                                 halide_buffer_t *m2);
using DeviceAddParts = int (*)(halide_buffer_t *sums_dy, halide_buffer_t *sums_dy_xmu, halide_buffer_t *rest_dy,
                               halide_buffer_t *rest_dy_xmu, int32_t channels, int32_t parts, halide_buffer_t *sum_dy,
                               halide_buffer_t *sum_dy_xmu);
using DeviceWeigh = int (*)(halide_buffer_t *sum_dy, halide_buffer_t *sum_dy_xmu, halide_buffer_t *gamma,
                            int32_t samples, double total, int32_t zero, halide_buffer_t *g1, halide_buffer_t *g2,
                            halide_buffer_t *count);
using DeviceParameterGradients = int (*)(halide_buffer_t *sum_dy, halide_buffer_t *sum_dy_xmu,
                                         halide_buffer_t *variance, halide_buffer_t *dgamma_before,
                                         halide_buffer_t *dbeta_before, double eps, int32_t samples, int32_t keep,
                                         int32_t zero, halide_buffer_t *dgamma, halide_buffer_t *dbeta);
using DeviceTrack = int (*)(halide_buffer_t *running_mean, halide_buffer_t *running_variance, halide_buffer_t *mean,
                            halide_buffer_t *variance, int32_t samples, double weight_before, double weight,
                            double correction, int32_t zero, halide_buffer_t *new_mean, halide_buffer_t *new_variance);

// By class: the pointwise kernels serve all channels-first planes of up to 1024 positions as kSmall.
struct DeviceElementKernels {
    DeviceMoments moments[kPlaneClasses];
    DeviceNormalize normalize[kPlaneClasses];
    DeviceNormalizeResidual normalize_residual[kPlaneClasses];
    DeviceBackwardReduce backward_reduce[kPlaneClasses];
    DeviceBackwardApply backward_apply[kPlaneClasses];
    DeviceActivationBackward activation_backward[kPlaneClasses];
};

struct DeviceKernels {
    const char *name;  // "cuda"
    DeviceElementKernels of[kElementTypes];
    DeviceFill fill_float, fill;
    DeviceWiden widen;
    DeviceRepeat repeat_float, repeat;
    DeviceMergeParts merge_parts;
    DeviceAddParts add_parts;
    DeviceWeigh weigh;
    DeviceParameterGradients parameter_gradients;
    DeviceTrack track;
};

extern "C" {
extern const DeviceKernels hnorm_devices[];
extern const int hnorm_devices_count;
}

}  // namespace hnorm::detail
