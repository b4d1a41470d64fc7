// CUDA's driver: hnorm_use_cuda, and the context and stream of kernels.
#include <hnorm/gpu.h>

#include <HalideRuntimeCuda.h>

#include <dlfcn.h>

#include <atomic>
#include <mutex>

#include "driver.h"
#include "error.h"
#include "modules.h"

namespace hnorm::gpu {

namespace {

using namespace hnorm::detail;

using CUresult = int;
using CUdeviceptr = uintptr_t;
constexpr CUresult kSuccess = 0, kInvalidValue = 1, kOutOfMemory = 2;
constexpr int kAttributeMemoryType = 2;                      // CU_POINTER_ATTRIBUTE_MEMORY_TYPE
constexpr int kAttributePageableMemory = 88;                 // CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS
void *const kStreamPerThread = reinterpret_cast<void *>(2);  // CU_STREAM_PER_THREAD

// What hnorm calls of the driver, under the names that the library has.
struct Functions {
    CUresult (*cuInit)(unsigned);
    CUresult (*cuGetErrorName)(CUresult, const char **);
    CUresult (*cuGetErrorString)(CUresult, const char **);
    CUresult (*cuDeviceGet)(int *, int);
    CUresult (*cuDeviceGetAttribute)(int *, int, int);
    CUresult (*cuDevicePrimaryCtxGetState)(int, unsigned *, int *);
    CUresult (*cuDevicePrimaryCtxRetain)(void **, int);
    CUresult (*cuCtxGetCurrent)(void **);
    CUresult (*cuCtxGetDevice)(int *);
    CUresult (*cuCtxSynchronize)();
    CUresult (*cuCtxPushCurrent_v2)(void *);
    CUresult (*cuCtxPopCurrent_v2)(void **);
    CUresult (*cuMemAlloc_v2)(CUdeviceptr *, size_t);
    CUresult (*cuMemFree_v2)(CUdeviceptr);
    CUresult (*cuMemcpyHtoDAsync_v2)(CUdeviceptr, const void *, size_t, void *);
    CUresult (*cuMemcpyDtoHAsync_v2)(void *, CUdeviceptr, size_t, void *);
    CUresult (*cuMemcpyDtoDAsync_v2)(CUdeviceptr, CUdeviceptr, size_t, void *);
    CUresult (*cuStreamSynchronize)(void *);
    CUresult (*cuStreamIsCapturing)(void *, int *);
    CUresult (*cuPointerGetAttribute)(void *, int, CUdeviceptr);
    CUresult (*cuModuleUnload)(void *);
};
Functions cuda = {};

// HNORM_OK, or what the driver says of its failure.
hnorm_status status_of(const char *function, const char *what, CUresult result,
                       hnorm_status otherwise = HNORM_DEVICE_ERROR) {
    if (result == kSuccess) {
        return HNORM_OK;
    }
    const char *name = nullptr, *text = nullptr;
    (void)cuda.cuGetErrorName(result, &name);
    (void)cuda.cuGetErrorString(result, &text);
    return fail(result == kOutOfMemory ? HNORM_OUT_OF_MEMORY : otherwise, "%s: %s failed: %s (%d): %s", function, what,
                name ? name : "unknown error", result, text ? text : "the driver does not know it");
}

// Opens the driver, once.
hnorm_status load(const char *function) {
    return open_once(function, "libcuda.so", "CUDA driver", [function](void *library) {
#define HNORM_FIND(name)                                                                                 \
    if (!find(library, #name, &cuda.name)) {                                                             \
        return fail(HNORM_UNSUPPORTED, "%s: the CUDA driver is too old: it has no %s", function, #name); \
    }
        HNORM_FIND(cuInit)
        HNORM_FIND(cuGetErrorName)
        HNORM_FIND(cuGetErrorString)
        HNORM_FIND(cuDeviceGet)
        HNORM_FIND(cuDeviceGetAttribute)
        HNORM_FIND(cuDevicePrimaryCtxGetState)
        HNORM_FIND(cuDevicePrimaryCtxRetain)
        HNORM_FIND(cuCtxGetCurrent)
        HNORM_FIND(cuCtxGetDevice)
        HNORM_FIND(cuCtxSynchronize)
        HNORM_FIND(cuCtxPushCurrent_v2)
        HNORM_FIND(cuCtxPopCurrent_v2)
        HNORM_FIND(cuMemAlloc_v2)
        HNORM_FIND(cuMemFree_v2)
        HNORM_FIND(cuMemcpyHtoDAsync_v2)
        HNORM_FIND(cuMemcpyDtoHAsync_v2)
        HNORM_FIND(cuMemcpyDtoDAsync_v2)
        HNORM_FIND(cuStreamSynchronize)
        HNORM_FIND(cuStreamIsCapturing)
        HNORM_FIND(cuPointerGetAttribute)
        HNORM_FIND(cuModuleUnload)
#undef HNORM_FIND
        return status_of(function, "cuInit", cuda.cuInit(0), HNORM_UNSUPPORTED);
    });
}

// Device 0's primary context, retained for good: again where the program has reset the device.
hnorm_status primary_context(const char *function, void **context) {
    static std::mutex mutex;
    static void *primary = nullptr;
    const std::lock_guard<std::mutex> lock(mutex);
    int device, active = 0;
    unsigned flags;
    HNORM_TRY(status_of(function, "cuDeviceGet", cuda.cuDeviceGet(&device, 0), HNORM_UNSUPPORTED));
    HNORM_TRY(
        status_of(function, "cuDevicePrimaryCtxGetState", cuda.cuDevicePrimaryCtxGetState(device, &flags, &active)));
    if (primary == nullptr || !active) {
        HNORM_TRY(status_of(function, "cuDevicePrimaryCtxRetain", cuda.cuDevicePrimaryCtxRetain(&primary, device)));
    }
    *context = primary;
    return HNORM_OK;
}

// What the calling thread asked for.
struct Thread {
    void *context, *stream;
    bool any_memory;  // the device reaches all of the process's memory
};
thread_local Thread thread = {};

// The thread's, which no other has had.
uint64_t thread_number() {
    static std::atomic<uint64_t> last{0};
    static thread_local const uint64_t number = ++last;
    return number;
}

// The calling thread's current context while it lives.
class Current {
public:
    explicit Current(void *context) : result_(cuda.cuCtxPushCurrent_v2(context)) {}
    ~Current() {
        void *context;
        if (entered()) (void)cuda.cuCtxPopCurrent_v2(&context);
    }
    Current(const Current &) = delete;
    Current &operator=(const Current &) = delete;

    bool entered() const { return result_ == kSuccess; }
    hnorm_status status(const char *function) const { return status_of(function, "cuCtxPushCurrent", result_); }

private:
    CUresult result_;
};

CUdeviceptr address(const void *memory) { return reinterpret_cast<CUdeviceptr>(memory); }

// The calling thread's context is current.
hnorm_status ask_capturing(const char *function, bool *capturing) {
    int state = 0;  // CU_STREAM_CAPTURE_STATUS_NONE
    HNORM_TRY(status_of(function, "cuStreamIsCapturing", cuda.cuStreamIsCapturing(thread.stream, &state)));
    *capturing = state != 0;
    return HNORM_OK;
}

// What CUDA forbids in a capture would end it with an error that says nothing of the reason.
hnorm_status refuse_capturing(const char *function, const char *what) {
    bool capturing = false;
    HNORM_TRY(ask_capturing(function, &capturing));
    return capturing ? fail(HNORM_UNSUPPORTED, "%s: the stream is captured for a CUDA graph, where nothing can %s",
                            function, what)
                     : HNORM_OK;
}
constexpr const char *kAllocate =
    "allocate memory of the device: make the same call once, on the same stream, before the capture";
constexpr const char *kWait = "wait for the device: do this before or after the capture";

class Cuda : public Driver {
public:
    Cuda() : Driver(HNORM_CUDA) {}

    const halide_device_interface_t *interface() const override { return halide_cuda_device_interface(); }
    Place place() const override {
        return {thread.context, thread.stream, thread.stream == kStreamPerThread ? thread_number() : 0};
    }

    hnorm_status allocate(const char *function, int64_t bytes, void **memory) override {
        const Current current(thread.context);
        HNORM_TRY(current.status(function));
        HNORM_TRY(refuse_capturing(function, kAllocate));
        CUdeviceptr at = 0;
        HNORM_TRY(status_of(function, "cuMemAlloc", cuda.cuMemAlloc_v2(&at, static_cast<size_t>(bytes))));
        *memory = reinterpret_cast<void *>(at);
        return HNORM_OK;
    }
    void release(void *context, void *memory) override {
        const Current current(context);
        if (current.entered()) (void)cuda.cuMemFree_v2(address(memory));  // else it went with the context
    }

    hnorm_status copy_in(const char *function, void *to, const void *from, int64_t bytes) override {
        const Current current(thread.context);
        HNORM_TRY(current.status(function));
        HNORM_TRY(refuse_capturing(function, kWait));
        HNORM_TRY(status_of(function, "cuMemcpyHtoDAsync",
                            cuda.cuMemcpyHtoDAsync_v2(address(to), from, static_cast<size_t>(bytes), thread.stream)));
        return status_of(function, "cuStreamSynchronize", cuda.cuStreamSynchronize(thread.stream));
    }
    hnorm_status copy_out(const char *function, void *to, const void *from, int64_t bytes) override {
        const Current current(thread.context);
        HNORM_TRY(current.status(function));
        HNORM_TRY(refuse_capturing(function, kWait));
        HNORM_TRY(status_of(function, "cuMemcpyDtoHAsync",
                            cuda.cuMemcpyDtoHAsync_v2(to, address(from), static_cast<size_t>(bytes), thread.stream)));
        return status_of(function, "cuStreamSynchronize", cuda.cuStreamSynchronize(thread.stream));
    }
    hnorm_status copy(const char *function, void *to, const void *from, int64_t bytes) override {
        const Current current(thread.context);
        HNORM_TRY(current.status(function));
        return status_of(
            function, "cuMemcpyDtoDAsync",
            cuda.cuMemcpyDtoDAsync_v2(address(to), address(from), static_cast<size_t>(bytes), thread.stream));
    }
    hnorm_status synchronize(const char *function) override {
        const Current current(thread.context);
        HNORM_TRY(current.status(function));
        HNORM_TRY(refuse_capturing(function, kWait));
        return status_of(function, "cuStreamSynchronize", cuda.cuStreamSynchronize(thread.stream));
    }

    hnorm_status finish(const char *function, void *context) override {
        const Current current(context);
        HNORM_TRY(current.status(function));
        return status_of(function, "cuCtxSynchronize", cuda.cuCtxSynchronize());
    }

    hnorm_status is_capturing(const char *function, bool *capturing) override {
        const Current current(thread.context);
        HNORM_TRY(current.status(function));
        return ask_capturing(function, capturing);
    }

    // A kernel that touched an address of the CPU would leave the context unusable.
    hnorm_status check_memory(const char *function, const char *name, const char *part, const void *memory,
                              int64_t) override {
        if (thread.any_memory) {
            return HNORM_OK;
        }
        const Current current(thread.context);
        HNORM_TRY(current.status(function));
        unsigned type = 0;
        const CUresult result = cuda.cuPointerGetAttribute(&type, kAttributeMemoryType, address(memory));
        if (result != kInvalidValue) {
            return status_of(function, "cuPointerGetAttribute", result);
        }
        return fail(HNORM_INVALID_ARGUMENT,
                    "%s: %s%s is %p, which the CUDA driver does not know: it must be memory of the device", function,
                    name, part, memory);
    }

    void leave() override {
        {
            const Current current(thread.context);
            release_modules(Halide::Runtime::Internal::Cuda::compilation_cache, thread.context,
                            current.entered() ? cuda.cuModuleUnload : nullptr);
        }
        thread = {};
    }
};

Driver &driver() {
    static Cuda *const driver = new Cuda;
    return *driver;
}

int acquire_context(void *, void **context, bool create) {
    // Without `create` the runtime asks as it cleans up: when the process ends, contexts may be
    // gone already.
    *context = create ? thread.context : nullptr;
    if (create && *context == nullptr) {
        halide_error(nullptr, "this thread has not called hnorm_use_cuda");
        return halide_error_code_generic_error;
    }
    return halide_error_code_success;
}

int get_stream(void *, void *, void **stream) {
    *stream = thread.stream;
    return halide_error_code_success;
}

}  // namespace

}  // namespace hnorm::gpu

using namespace hnorm::gpu;

extern "C" hnorm_status hnorm_use_cuda(void *context, void *stream) {
    const char *const function = "hnorm_use_cuda";
    HNORM_TRY(load(function));
    if (context == nullptr) {
        HNORM_TRY(status_of(function, "cuCtxGetCurrent", cuda.cuCtxGetCurrent(&context)));
    }
    if (context == nullptr) {
        HNORM_TRY(primary_context(function, &context));
    }
    Thread asked = {context, stream, false};
    if (context == thread.context) {
        asked.any_memory = thread.any_memory;
    } else {
        const Current current(context);
        HNORM_TRY(current.status(function));
        int device, pageable = 0;
        HNORM_TRY(status_of(function, "cuCtxGetDevice", cuda.cuCtxGetDevice(&device)));
        (void)cuda.cuDeviceGetAttribute(&pageable, kAttributePageableMemory, device);
        asked.any_memory = pageable != 0;
    }
    static const bool installed = [] {
        halide_set_cuda_acquire_context(acquire_context);
        halide_set_cuda_get_stream(get_stream);
        return true;
    }();
    (void)installed;
    thread = asked;
    use(driver());
    return HNORM_OK;
}
