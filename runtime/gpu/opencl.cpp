// OpenCL's driver: hnorm_use_opencl, and the context and queue of kernels.
#include <hnorm/gpu.h>

#include <HalideRuntimeOpenCL.h>

#include <dlfcn.h>

#include <cinttypes>
#include <mutex>

#include "driver.h"
#include "error.h"
#include "modules.h"

namespace hnorm::gpu {

namespace {

using namespace hnorm::detail;

using cl_int = int32_t;
constexpr cl_int kSuccess = 0, kDeviceNotFound = -1, kAllocationFailure = -4, kOutOfResources = -5,
                 kOutOfHostMemory = -6, kInvalidBufferSize = -61, kNoPlatform = -1001;
constexpr uint32_t kTrue = 1;
constexpr uint64_t kAllDevices = 0xffffffff, kReadWrite = 1, kOutOfOrder = 1;
// CL_DEVICE_DOUBLE_FP_CONFIG, CL_CONTEXT_..., CL_QUEUE_..., CL_MEM_...
constexpr uint32_t kDoubleConfig = 0x1032, kContextDevices = 0x1083, kQueueContext = 0x1090, kQueueDevice = 0x1091,
                   kQueueProperties = 0x1093, kMemSize = 0x1102, kMemContext = 0x1106;
constexpr intptr_t kContextPlatform = 0x1084;

// What hnorm calls of the driver.
struct Functions {
    cl_int (*clGetPlatformIDs)(uint32_t, void **, uint32_t *);
    cl_int (*clGetDeviceIDs)(void *, uint64_t, uint32_t, void **, uint32_t *);
    cl_int (*clGetDeviceInfo)(void *, uint32_t, size_t, void *, size_t *);
    void *(*clCreateContext)(const intptr_t *, uint32_t, void *const *, void *, void *, cl_int *);
    cl_int (*clGetContextInfo)(void *, uint32_t, size_t, void *, size_t *);
    void *(*clCreateCommandQueue)(void *, void *, uint64_t, cl_int *);
    cl_int (*clGetCommandQueueInfo)(void *, uint32_t, size_t, void *, size_t *);
    void *(*clCreateBuffer)(void *, uint64_t, size_t, void *, cl_int *);
    cl_int (*clReleaseMemObject)(void *);
    cl_int (*clGetMemObjectInfo)(void *, uint32_t, size_t, void *, size_t *);
    cl_int (*clEnqueueWriteBuffer)(void *, void *, uint32_t, size_t, size_t, const void *, uint32_t, void *, void *);
    cl_int (*clEnqueueReadBuffer)(void *, void *, uint32_t, size_t, size_t, void *, uint32_t, void *, void *);
    cl_int (*clEnqueueCopyBuffer)(void *, void *, void *, size_t, size_t, size_t, uint32_t, void *, void *);
    cl_int (*clFinish)(void *);
    cl_int (*clReleaseProgram)(void *);
};
Functions cl = {};

const char *error_name(cl_int error) {
    switch (error) {
    case kDeviceNotFound: return "CL_DEVICE_NOT_FOUND";
    case kAllocationFailure: return "CL_MEM_OBJECT_ALLOCATION_FAILURE";
    case kOutOfResources: return "CL_OUT_OF_RESOURCES";
    case kOutOfHostMemory: return "CL_OUT_OF_HOST_MEMORY";
    case -30: return "CL_INVALID_VALUE";
    case -34: return "CL_INVALID_CONTEXT";
    case -36: return "CL_INVALID_COMMAND_QUEUE";
    case -38: return "CL_INVALID_MEM_OBJECT";
    case kInvalidBufferSize: return "CL_INVALID_BUFFER_SIZE";
    case kNoPlatform: return "CL_PLATFORM_NOT_FOUND_KHR";
    default: return "an error of OpenCL";
    }
}

// HNORM_OK, or what the driver says of its failure.
hnorm_status status_of(const char *function, const char *what, cl_int error,
                       hnorm_status otherwise = HNORM_DEVICE_ERROR) {
    if (error == kSuccess) {
        return HNORM_OK;
    }
    const bool memory = error == kAllocationFailure || error == kOutOfHostMemory || error == kInvalidBufferSize;
    return fail(memory ? HNORM_OUT_OF_MEMORY : otherwise, "%s: %s failed: %s (%" PRId32 ")", function, what,
                error_name(error), error);
}

// Opens the driver, once.
hnorm_status load(const char *function) {
    return open_once(function, "libOpenCL.so", "OpenCL", [function](void *library) {
#define HNORM_FIND(name)                                                                   \
    if (!find(library, #name, &cl.name)) {                                                 \
        return fail(HNORM_UNSUPPORTED, "%s: OpenCL's library has no %s", function, #name); \
    }
        HNORM_FIND(clGetPlatformIDs)
        HNORM_FIND(clGetDeviceIDs)
        HNORM_FIND(clGetDeviceInfo)
        HNORM_FIND(clCreateContext)
        HNORM_FIND(clGetContextInfo)
        HNORM_FIND(clCreateCommandQueue)
        HNORM_FIND(clGetCommandQueueInfo)
        HNORM_FIND(clCreateBuffer)
        HNORM_FIND(clReleaseMemObject)
        HNORM_FIND(clGetMemObjectInfo)
        HNORM_FIND(clEnqueueWriteBuffer)
        HNORM_FIND(clEnqueueReadBuffer)
        HNORM_FIND(clEnqueueCopyBuffer)
        HNORM_FIND(clFinish)
        HNORM_FIND(clReleaseProgram)
#undef HNORM_FIND
        return HNORM_OK;
    });
}

// What the calling thread asked for.
struct Thread {
    void *context, *queue;
};
thread_local Thread thread = {};

// hnorm's own, for who has none: made once, and for good.
hnorm_status own_queue(const char *function, void **context, void **queue) {
    static std::mutex mutex;
    static Thread own = {};
    const std::lock_guard<std::mutex> lock(mutex);
    if (own.queue == nullptr) {
        void *platform = nullptr, *device = nullptr;
        cl_int error;
        HNORM_TRY(
            status_of(function, "clGetPlatformIDs", cl.clGetPlatformIDs(1, &platform, nullptr), HNORM_UNSUPPORTED));
        if (platform == nullptr) {
            return fail(HNORM_UNSUPPORTED, "%s: OpenCL's library has no platform: no driver is installed", function);
        }
        HNORM_TRY(status_of(function, "clGetDeviceIDs", cl.clGetDeviceIDs(platform, kAllDevices, 1, &device, nullptr),
                            HNORM_UNSUPPORTED));
        const intptr_t properties[] = {kContextPlatform, reinterpret_cast<intptr_t>(platform), 0};
        if (own.context == nullptr) {
            own.context = cl.clCreateContext(properties, 1, &device, nullptr, nullptr, &error);
            HNORM_TRY(status_of(function, "clCreateContext", error));
        }
        own.queue = cl.clCreateCommandQueue(own.context, device, 0, &error);
        HNORM_TRY(status_of(function, "clCreateCommandQueue", error));
    }
    *context = own.context;
    *queue = own.queue;
    return HNORM_OK;
}

// A queue must be in order, of a device that has double precision, and of the context where that is
// given, which must have no other device: Halide's runtime compiles for a context's first.
hnorm_status check_queue(const char *function, void **context, void *queue) {
    const auto info = [&](uint32_t what, auto *value) {
        return status_of(function, "clGetCommandQueueInfo",
                         cl.clGetCommandQueueInfo(queue, what, sizeof *value, value, nullptr));
    };
    void *its_context = nullptr, *device = nullptr;
    uint32_t devices = 0;
    uint64_t properties = 0, doubles = 0;
    HNORM_TRY(info(kQueueContext, &its_context));
    HNORM_TRY(info(kQueueDevice, &device));
    HNORM_TRY(info(kQueueProperties, &properties));
    HNORM_TRY(status_of(function, "clGetContextInfo",
                        cl.clGetContextInfo(its_context, kContextDevices, sizeof devices, &devices, nullptr)));
    if (*context != nullptr && *context != its_context) {
        return fail(HNORM_INVALID_ARGUMENT,
                    "%s: queue belongs to the context %p, but context is %p: they must be equal", function, its_context,
                    *context);
    }
    if (properties & kOutOfOrder) {
        return fail(HNORM_INVALID_ARGUMENT,
                    "%s: queue runs its commands out of order: it must be one that keeps their order", function);
    }
    if (devices != 1) {
        return fail(HNORM_UNSUPPORTED, "%s: the context %p has %" PRIu32 " devices: it must have one alone", function,
                    its_context, devices);
    }
    // A driver that does not know the question has none.
    if (cl.clGetDeviceInfo(device, kDoubleConfig, sizeof doubles, &doubles, nullptr) != kSuccess || doubles == 0) {
        return fail(HNORM_UNSUPPORTED, "%s: the device has no double precision (cl_khr_fp64): statistics need it",
                    function);
    }
    *context = its_context;
    return HNORM_OK;
}

class OpenCl : public Driver {
public:
    OpenCl() : Driver(HNORM_OPENCL) {}

    const halide_device_interface_t *interface() const override { return halide_opencl_device_interface(); }
    Place place() const override { return {thread.context, thread.queue, 0}; }

    hnorm_status allocate(const char *function, int64_t bytes, void **memory) override {
        cl_int error;
        *memory = cl.clCreateBuffer(thread.context, kReadWrite, static_cast<size_t>(bytes), nullptr, &error);
        return status_of(function, "clCreateBuffer", error,
                         error == kOutOfResources ? HNORM_OUT_OF_MEMORY : HNORM_DEVICE_ERROR);
    }
    void release(void *, void *memory) override { (void)cl.clReleaseMemObject(memory); }

    hnorm_status copy_in(const char *function, void *to, const void *from, int64_t bytes) override {
        return status_of(
            function, "clEnqueueWriteBuffer",
            cl.clEnqueueWriteBuffer(thread.queue, to, kTrue, 0, static_cast<size_t>(bytes), from, 0, nullptr, nullptr));
    }
    hnorm_status copy_out(const char *function, void *to, const void *from, int64_t bytes) override {
        return status_of(function, "clEnqueueReadBuffer",
                         cl.clEnqueueReadBuffer(thread.queue, const_cast<void *>(from), kTrue, 0,
                                                static_cast<size_t>(bytes), to, 0, nullptr, nullptr));
    }
    hnorm_status copy(const char *function, void *to, const void *from, int64_t bytes) override {
        return status_of(function, "clEnqueueCopyBuffer",
                         cl.clEnqueueCopyBuffer(thread.queue, const_cast<void *>(from), to, 0, 0,
                                                static_cast<size_t>(bytes), 0, nullptr, nullptr));
    }
    hnorm_status synchronize(const char *function) override {
        return status_of(function, "clFinish", cl.clFinish(thread.queue));
    }
    hnorm_status finish(const char *function, void *context) override {
        return context == thread.context ? synchronize(function) : HNORM_OK;
    }

    hnorm_status check_memory(const char *function, const char *name, const char *part, const void *memory,
                              int64_t bytes) override {
        void *const mem = const_cast<void *>(memory);
        size_t size = 0;
        void *context = nullptr;
        const cl_int of_size = cl.clGetMemObjectInfo(mem, kMemSize, sizeof size, &size, nullptr);
        const cl_int of_context = cl.clGetMemObjectInfo(mem, kMemContext, sizeof context, &context, nullptr);
        if (of_size != kSuccess || of_context != kSuccess) {
            return fail(HNORM_INVALID_ARGUMENT, "%s: %s%s is %p: it must be a cl_mem", function, name, part, memory);
        }
        if (context != thread.context) {
            return fail(HNORM_INVALID_ARGUMENT,
                        "%s: %s%s is a cl_mem of the context %p: it must be of %p, that of hnorm_use_opencl", function,
                        name, part, context, thread.context);
        }
        if (size < static_cast<size_t>(bytes)) {
            return fail(HNORM_INVALID_ARGUMENT, "%s: %s%s is a cl_mem of %zu bytes: it must have %" PRId64 " or more",
                        function, name, part, size, bytes);
        }
        return HNORM_OK;
    }

    void leave() override {
        release_modules(Halide::Runtime::Internal::OpenCL::compilation_cache, thread.context, cl.clReleaseProgram);
        thread = {};
    }
};

Driver &driver() {
    static OpenCl *const driver = new OpenCl;
    return *driver;
}

}  // namespace

}  // namespace hnorm::gpu

using namespace hnorm::gpu;

extern "C" {

// Halide's runtime asks for these; its own are weak symbols.
int halide_acquire_cl_context(void *, void **context, void **queue, bool create) {
    // Without `create` it asks as it cleans up: when the process ends, contexts may be gone
    // already.
    *context = create ? thread.context : nullptr;
    *queue = create ? thread.queue : nullptr;
    if (create && *queue == nullptr) {
        halide_error(nullptr, "this thread has not called hnorm_use_opencl");
        return halide_error_code_generic_error;
    }
    return halide_error_code_success;
}
int halide_release_cl_context(void *) { return halide_error_code_success; }

hnorm_status hnorm_use_opencl(void *context, void *queue) {
    const char *const function = "hnorm_use_opencl";
    if (context != nullptr && queue == nullptr) {
        return fail(HNORM_INVALID_ARGUMENT, "%s: queue is null but context is not: a queue of the context is needed",
                    function);
    }
    HNORM_TRY(load(function));
    if (queue == nullptr) {
        HNORM_TRY(own_queue(function, &context, &queue));
    }
    // Also one that the thread has now: it may be another of the same handle.
    HNORM_TRY(check_queue(function, &context, queue));
    thread = {context, queue};
    use(driver());
    // Halide's runtime opens the library as well, at its first use, and without a lock.
    static const int opened = halide_device_sync_global(nullptr, halide_opencl_device_interface());
    (void)opened;
    return HNORM_OK;
}

}  // extern "C"
