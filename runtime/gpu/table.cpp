// The devices' tables for libhnorm (device.h), and begin_call.
#include "backward.h"
#include "compute.h"
#include "find_kernels.h"

namespace hnorm::gpu {

namespace {

// A function of Device as a method: makes the Call and hands it on.
#define HNORM_BEGIN_CALL(function)                                 \
    const DeviceKernels *kernels;                                  \
    Constants constants;                                           \
    Driver &driver = *driver_of(kDevice);                          \
    HNORM_TRY(begin_call(function, driver, &kernels, &constants)); \
    const Call call = {function, driver, *kernels, constants}

template <hnorm_device kDevice>
struct Table {
    static hnorm_status moments(const char *function, const Planes &x, const Grouping &group, double divisor,
                                double *mean, double *m2) {
        HNORM_BEGIN_CALL(function);
        if (group.together == 1) {
            Forward unused(call);
            return gpu::moments(call, x, group.by, {}, 1, divisor, mean, m2, &unused);
        }
        OfChannels merged(call);
        HNORM_TRY(merged.merge(x, group, divisor));
        return merged.take(x, group, mean, m2);
    }

    static hnorm_status normalize(const char *function, const Planes &x, const Grouping &group, const double *mean,
                                  const double *variance, const AffineView &affine, double eps, const PostOps &post,
                                  const Planes &y) {
        HNORM_BEGIN_CALL(function);
        OfChannels repeated(call);
        if (group.together > 1) {
            HNORM_TRY(repeated.repeat(x, group, mean, variance));
            mean = repeated.mean();
            variance = repeated.variance();
        }
        Forward forward(call);
        HNORM_TRY(coefficients(call, x, group_values(mean, x, group.by), group_values(variance, x, group.by), affine,
                               eps, &forward));
        return gpu::normalize(call, x, forward, post, y);
    }

    static hnorm_status normalize_floats(const char *function, const Planes &x, const float *mean,
                                         const float *variance, int64_t stride_n, const AffineView &affine, double eps,
                                         const Planes &y) {
        HNORM_BEGIN_CALL(function);
        const View view = stride_n == 0 ? View::kBatch : View::kInstance;
        Scratch wide_mean(driver), wide_variance(driver);
        const auto widen = [&](const float *from, Scratch &to) {
            HNORM_TRY(to.reserve(function, x.n * x.c * static_cast<int64_t>(sizeof(double))));
            On<GroupBuffer> in(call, from, x, view, x.c, 1), out(call, to.as<double>(), x, view, x.c, 1);
            return launch(call, kernels->widen, in, out);
        };
        HNORM_TRY(widen(mean, wide_mean));
        HNORM_TRY(widen(variance, wide_variance));
        Forward forward(call);
        HNORM_TRY(coefficients(call, x, {wide_mean.as<double>(), stride_n, 1},
                               {wide_variance.as<double>(), stride_n, 1}, affine, eps, &forward));
        return gpu::normalize(call, x, forward, {}, y);
    }

    static hnorm_status forward_of_channels(const Call &call, const Planes &x, const Grouping &group,
                                            const AffineView &affine, double eps, const PostOps &post, const Planes &y,
                                            double *mean, double *variance) {
        OfChannels merged(call);
        HNORM_TRY(merged.merge(x, group, static_cast<double>(group.size(x))));
        HNORM_TRY(merged.take(x, group, mean, variance));
        Forward forward(call);
        HNORM_TRY(coefficients(call, x, group_values(merged.mean(), x, group.by),
                               group_values(merged.variance(), x, group.by), affine, eps, &forward));
        return gpu::normalize(call, x, forward, post, y);
    }

    static hnorm_status forward(const char *function, const Planes &x, const Grouping &grouping,
                                const AffineView &affine, double eps, const PostOps &post, const Planes &y,
                                double *mean, double *variance) {
        HNORM_BEGIN_CALL(function);
        const hnorm_group group = grouping.by;
        if (grouping.together > 1) {
            return forward_of_channels(call, x, grouping, affine, eps, post, y, mean, variance);
        }
        Scratch means(driver), variances(driver);
        const auto wanted_or = [&](Scratch &scratch, double **values) {
            if (*values) return HNORM_OK;
            HNORM_TRY(scratch.reserve(function, x.groups(group) * static_cast<int64_t>(sizeof(double))));
            *values = scratch.as<double>();
            return HNORM_OK;
        };
        HNORM_TRY(wanted_or(means, &mean));
        HNORM_TRY(wanted_or(variances, &variance));
        Forward forward(call);
        const bool own = group == HNORM_INSTANCE || !affine.per_sample();
        HNORM_TRY(gpu::moments(call, x, group, own ? affine : AffineView{}, eps,
                               static_cast<double>(x.group_size(group)), mean, variance, &forward));
        if (own) {
            return gpu::normalize(call, x, forward, post, y);
        }
        Forward of_samples(call);
        HNORM_TRY(coefficients(call, x, group_values(mean, x, group), group_values(variance, x, group), affine, eps,
                               &of_samples));
        return gpu::normalize(call, x, of_samples, post, y);
    }

    static hnorm_status activation_backward(const char *function, const Planes &y, const Planes &dy, float slope,
                                            const Planes &dz) {
        HNORM_BEGIN_CALL(function);
        return gpu::activation_backward(call, y, dy, slope, dz);
    }

    static hnorm_status backward_reduce(const char *function, const Planes &x, const Planes &dy, hnorm_group group,
                                        const double *mean, double *sum_dy, double *sum_dy_xmu) {
        HNORM_BEGIN_CALL(function);
        Gradient unused(call);
        return gpu::backward_reduce(call, x, dy, group, group_values(mean, x, group), no_sign(call),
                                    {constants.one, 0, 0}, {}, 1, sum_dy, sum_dy_xmu, &unused);
    }

    static hnorm_status backward_apply(const char *function, const Planes &x, const Planes &dy, hnorm_group group,
                                       const double *count, const double *mean, const double *variance,
                                       const double *sum_dy, const double *sum_dy_xmu, const AffineView &affine,
                                       double eps, const Planes &dx) {
        HNORM_BEGIN_CALL(function);
        const auto values = [&](const double *data) { return group_values(data, x, group); };
        Gradient gradient(call);
        HNORM_TRY(gradient_coefficients(call, x, values(mean), values(variance), affine, eps,
                                        {values(sum_dy), values(sum_dy_xmu), values(count)}, true, &gradient));
        return gpu::backward_apply(call, x, dy, gradient, no_sign(call), dx);
    }

    static hnorm_status backward(const char *function, const Backward &b, bool add) {
        HNORM_BEGIN_CALL(function);
        return gpu::backward(call, b, add);
    }

    static hnorm_status normalize_backward(const char *function, const Backward &b, bool add) {
        HNORM_BEGIN_CALL(function);
        return gpu::normalize_backward(call, b, add);
    }

    // `count` values as a row.
    static Planes row(int64_t count) {
        Planes row = {};
        row.n = 1;
        row.c = count;
        return row;
    }

    static hnorm_status fill_floats(const char *function, float *values, int64_t count, float value) {
        if (count == 0) return HNORM_OK;
        HNORM_BEGIN_CALL(function);
        On<GroupBuffer> out(call, values, row(count), View::kBatch, 0, 1);
        return launch(call, kernels->fill_float, static_cast<double>(value), out);
    }

    static hnorm_status fill_doubles(const char *function, double *values, int64_t count, double value) {
        if (count == 0) return HNORM_OK;
        HNORM_BEGIN_CALL(function);
        On<GroupBuffer> out(call, values, row(count), View::kBatch, 0, 1);
        return launch(call, kernels->fill, value, out);
    }

    static hnorm_status track(const char *function, int64_t channels, int64_t samples, const double *mean,
                              const double *variance, double momentum, double correction, double *running_mean,
                              double *running_variance) {
        HNORM_BEGIN_CALL(function);
        Planes groups = row(channels);
        groups.n = samples;
        On<GroupBuffer> mean_before(call, running_mean, groups, View::kBatch, 0, 1);
        On<GroupBuffer> variance_before(call, running_variance, groups, View::kBatch, 0, 1);
        On<GroupBuffer> means(call, mean, groups, View::kInstance, channels, 1);
        On<GroupBuffer> variances(call, variance, groups, View::kInstance, channels, 1);
        On<GroupBuffer> mean_after(call, running_mean, groups, View::kBatch, 0, 1);
        On<GroupBuffer> variance_after(call, running_variance, groups, View::kBatch, 0, 1);
        return launch(call, kernels->track, mean_before, variance_before, means, variances,
                      static_cast<int32_t>(samples), 1 - momentum, momentum, correction, kZero, mean_after,
                      variance_after);
    }

    static hnorm_status allocate(const char *function, int64_t bytes, void **memory) {
        return gpu::allocate(function, *driver_of(kDevice), bytes, memory);
    }
    static void release(void *memory) { gpu::release(*driver_of(kDevice), memory); }
    static hnorm_status copy_in(const char *function, void *to, const void *from, int64_t bytes) {
        return driver_of(kDevice)->copy_in(function, to, from, bytes);
    }
    static hnorm_status copy_out(const char *function, void *to, const void *from, int64_t bytes) {
        return driver_of(kDevice)->copy_out(function, to, from, bytes);
    }
    static hnorm_status check_memory(const char *function, const char *name, const char *part, const void *memory,
                                     int64_t bytes) {
        return driver_of(kDevice)->check_memory(function, name, part, memory, bytes);
    }

    static constexpr Device table = {moments,
                                     normalize,
                                     normalize_floats,
                                     forward,
                                     activation_backward,
                                     backward_reduce,
                                     backward_apply,
                                     backward,
                                     normalize_backward,
                                     fill_floats,
                                     fill_doubles,
                                     track,
                                     allocate,
                                     release,
                                     copy_in,
                                     copy_out,
                                     check_memory};
};

#undef HNORM_BEGIN_CALL

}  // namespace

const Device &device_table(hnorm_device device) {
    return device == HNORM_CUDA ? Table<HNORM_CUDA>::table : Table<HNORM_OPENCL>::table;
}

hnorm_status begin_call(const char *function, Driver &driver, const DeviceKernels **kernels, Constants *constants) {
    *kernels = find_kernels(driver.device());
    if (*kernels == nullptr) {
        return fail(HNORM_UNSUPPORTED, "%s: this hnorm_gpu was built without kernels for %s (HNORM_DEVICES)", function,
                    driver.device() == HNORM_CUDA ? "cuda" : "opencl");
    }
    return gpu::constants(function, driver, constants);
}

}  // namespace hnorm::gpu
