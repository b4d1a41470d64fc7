// CUDA's driver library: its functions that hnorm calls, and what their failures are.
#pragma once

#include <hnorm/hnorm.h>

#include <cstddef>
#include <cstdint>

namespace hnorm::gpu {

using CUresult = int;
using CUdeviceptr = uintptr_t;
constexpr CUresult kSuccess = 0, kInvalidValue = 1, kOutOfMemory = 2;

// What hnorm calls of the driver, under the names that the library has.
struct CudaFunctions {
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
extern CudaFunctions cuda;

// Opens the library, once, and finds the functions.
hnorm_status load_cuda(const char *function);

// HNORM_OK, or what the driver says of its failure.
hnorm_status status_of(const char *function, const char *what, CUresult result,
                       hnorm_status otherwise = HNORM_DEVICE_ERROR);

}  // namespace hnorm::gpu
