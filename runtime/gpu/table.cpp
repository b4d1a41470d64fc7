// The devices' tables for libhnorm (device.h), and begin_call.
#include "backend.h"
#include "find_kernels.h"

namespace hnorm::gpu {

namespace {

template <hnorm_device kDevice>
struct Table {
    // Calls compute(the device as a backend).
    template <typename Compute>
    static hnorm_status on_device(const char *function, const Compute &compute) {
        const DeviceKernels *kernels;
        Constants constants;
        Driver &driver = *driver_of(kDevice);
        HNORM_TRY(begin_call(function, driver, &kernels, &constants));
        return compute(Gpu{{function, driver, *kernels, constants}});
    }
    // An operation of forward.h or backward.h as a function of Device.
    template <typename Arguments, hnorm_status (*operation)(const Gpu &, const Arguments &)>
    static hnorm_status run(const char *function, const Arguments &arguments) {
        return on_device(function, [&](const Gpu &on) { return operation(on, arguments); });
    }
    // For values outside of tensors.
    template <typename T>
    static hnorm_status fill(const char *function, T *values, int64_t count, T value) {
        return on_device(function, [&](const Gpu &on) { return on.fill(values, count, value); });
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

    static constexpr Device table = {
        {allocate, release, copy_in, copy_out, fill<float>, fill<double>},
        run<Moments, compute_moments<Gpu>>,
        run<Forward, compute_forward<Gpu>>,
        run<Normalize, compute_normalize<Gpu>>,
        run<NormalizeFloats, compute_normalize_floats<Gpu>>,
        run<Backward, compute_backward_of_batch<Gpu>>,
        run<Backward, compute_normalize_backward<Gpu>>,
        run<BackwardReduce, compute_backward_reduce<Gpu>>,
        run<BackwardApply, compute_backward_apply<Gpu>>,
        run<ActivationBackward, compute_activation_backward<Gpu>>,
        run<Track, compute_track<Gpu>>,
        check_memory,
    };
};

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
    bool capturing = false;
    HNORM_TRY(driver.is_capturing(function, &capturing));
    if (capturing) {
        HNORM_TRY(keep_for_graphs(function, driver));
    }
    return gpu::constants(function, driver, constants);
}

}  // namespace hnorm::gpu
