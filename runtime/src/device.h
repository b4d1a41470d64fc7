// The interface to devices: a table of functions for each device. The library hnorm_gpu
// (runtime/gpu) has these tables, and gives one to a thread that asks for the device (gpu.h).
// Nothing here refers to that library or to a driver.
#pragma once

#include "tensor.h"

namespace hnorm::detail {

struct AffineView;
struct Backward;
struct PostOps;

// Arguments are validated. All pointers are pointers of the device, also those in Planes, views and
// values. An absent gamma or beta is null. Functions that compute queue their work and return. They
// do not wait for the device, and they copy nothing from it.
struct Device {
    // Of tensors that are not empty. Statistics are one a group. M2 is divided by `divisor`.
    hnorm_status (*moments)(const char *function, const Planes &x, const Grouping &group, double divisor, double *mean,
                            double *m2);
    hnorm_status (*normalize)(const char *function, const Planes &x, const Grouping &group, const double *mean,
                              const double *variance, const AffineView &affine, double eps, const PostOps &post,
                              const Planes &y);
    // With statistics in float, whose samples are stride_n apart.
    hnorm_status (*normalize_floats)(const char *function, const Planes &x, const float *mean, const float *variance,
                                     int64_t stride_n, const AffineView &affine, double eps, const Planes &y);
    // mean, variance: one a group, written; null: not wanted.
    hnorm_status (*forward)(const char *function, const Planes &x, const Grouping &group, const AffineView &affine,
                            double eps, const PostOps &post, const Planes &y, double *mean, double *variance);
    hnorm_status (*activation_backward)(const char *function, const Planes &y, const Planes &dy, float slope,
                                        const Planes &dz);
    hnorm_status (*backward_reduce)(const char *function, const Planes &x, const Planes &dy, hnorm_group group,
                                    const double *mean, double *sum_dy, double *sum_dy_xmu);
    hnorm_status (*backward_apply)(const char *function, const Planes &x, const Planes &dy, hnorm_group group,
                                   const double *count, const double *mean, const double *variance,
                                   const double *sum_dy, const double *sum_dy_xmu, const AffineView &affine, double eps,
                                   const Planes &dx);
    // add: the gradients of the parameters are added to the present values of the arrays. backward:
    // null statistics mean the statistics of x.
    hnorm_status (*backward)(const char *function, const Backward &b, bool add);
    hnorm_status (*normalize_backward)(const char *function, const Backward &b, bool add);

    hnorm_status (*fill_floats)(const char *function, float *values, int64_t count, float value);
    hnorm_status (*fill_doubles)(const char *function, double *values, int64_t count, double value);
    // Updates the running statistics of C channels after a step. mean and variance of the step have
    // one value a group, and each channel has `samples` groups. The momentum is the weight of the
    // average over the samples. The average of the variance is multiplied by `correction`.
    hnorm_status (*track)(const char *function, int64_t channels, int64_t samples, const double *mean,
                          const double *variance, double momentum, double correction, double *running_mean,
                          double *running_variance);

    // Memory that outlives calls. Copies wait for the device.
    hnorm_status (*allocate)(const char *function, int64_t bytes, void **memory);
    void (*release)(void *memory);  // null is allowed; from any thread
    hnorm_status (*copy_in)(const char *function, void *to, const void *from, int64_t bytes);
    hnorm_status (*copy_out)(const char *function, void *to, const void *from, int64_t bytes);
    // Whether the memory is the device's and has as many bytes, as far as the driver can tell. `part` follows the name.
    hnorm_status (*check_memory)(const char *function, const char *name, const char *part, const void *memory,
                                 int64_t bytes);
};

const char *device_name(hnorm_device device);  // "HNORM_CUDA"

// The table of the calling thread, once it has asked for the device; null for the CPU and until then.
const Device *device_of_thread(hnorm_device device);
void set_device_of_thread(hnorm_device device, const Device *table);

// That `name`, a tensor or a layer, may lie on the device: it exists, and the calling thread has asked for it.
hnorm_status check_device(const char *function, const char *name, hnorm_device device);
// Device::check_memory, where there is a device and memory.
hnorm_status check_device_memory(const char *function, const char *name, const char *part, hnorm_device device,
                                 const void *memory, int64_t bytes);

}  // namespace hnorm::detail
