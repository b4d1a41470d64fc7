#include "cuda_functions.h"

#include "driver.h"
#include "error.h"

namespace hnorm::gpu {

using detail::fail;

CudaFunctions cuda = {};

hnorm_status status_of(const char *function, const char *what, CUresult result, hnorm_status otherwise) {
    if (result == kSuccess) {
        return HNORM_OK;
    }
    const char *name = nullptr, *text = nullptr;
    (void)cuda.cuGetErrorName(result, &name);
    (void)cuda.cuGetErrorString(result, &text);
    return fail(result == kOutOfMemory ? HNORM_OUT_OF_MEMORY : otherwise, "%s: %s failed: %s (%d): %s", function, what,
                name ? name : "unknown error", result, text ? text : "the driver does not know it");
}

hnorm_status load_cuda(const char *function) {
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

}  // namespace hnorm::gpu
