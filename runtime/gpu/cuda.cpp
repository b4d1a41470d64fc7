// CUDA's driver: hnorm_use_cuda, and the context and stream of kernels.
#include <hnorm/gpu.h>

#include <HalideRuntimeCuda.h>

#include <atomic>
#include <mutex>

#include "cuda_functions.h"
#include "driver.h"
#include "error.h"
#include "modules.h"

namespace hnorm::gpu {

namespace {

using namespace hnorm::detail;

constexpr int kAttributeMemoryType = 2;                      // CU_POINTER_ATTRIBUTE_MEMORY_TYPE
constexpr int kAttributePageableMemory = 88;                 // CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS
void *const kStreamPerThread = reinterpret_cast<void *>(2);  // CU_STREAM_PER_THREAD

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
    HNORM_TRY(load_cuda(function));
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
