// A CUDA driver that takes every call and computes nothing, as libcuda.so.1, for the programs that
// ./dev gpu runs (check_gpu.py). Its memory is the CPU's. What programs ask of a driver is tested
// by on_device/test_cuda_*.cpp.
#include <cstdint>
#include <cstdlib>
#include <cstring>

using Address = uintptr_t;

#define FAKE(name, parameters, work) \
    extern "C" int name parameters { \
        work;                        \
        return 0;                    \
    }
#define FAKE_OF_NOTHING(name) FAKE(name, (...), {})

namespace {

void *const kSomething = reinterpret_cast<void *>(0x1000);  // of contexts, modules, functions, streams and graphs

int allocate(Address *at, size_t bytes) {
    *at = reinterpret_cast<Address>(std::calloc(bytes ? bytes : 1, 1));
    return *at ? 0 : 2;
}

}  // namespace

FAKE_OF_NOTHING(cuInit)
FAKE(cuGetErrorName, (int, const char **text), *text = "CUDA_ERROR_PRETENDED")
FAKE(cuGetErrorString, (int, const char **text), *text = "an error of a driver that is none")
FAKE(cuDriverGetVersion, (int *version), *version = 13000)
FAKE(cuDeviceGetCount, (int *count), *count = 1)
FAKE(cuDeviceGet, (int *device, int), *device = 0)
FAKE(cuDeviceGetName, (char *name, int size, int), std::strncpy(name, "a GPU that is none", static_cast<size_t>(size)))
FAKE(cuDeviceTotalMem_v2, (size_t *bytes, int), *bytes = size_t{1} << 30)
FAKE(cuDeviceGetAttribute, (int *value, int, int), *value = 9)
FAKE(cuDevicePrimaryCtxGetState, (int, unsigned *, int *active), *active = 1)
FAKE(cuDevicePrimaryCtxRetain, (void **context, int), *context = kSomething)
FAKE(cuCtxCreate_v2, (void **context, unsigned, int), *context = kSomething)
FAKE(cuCtxGetCurrent, (void **context), *context = kSomething)
FAKE(cuCtxGetApiVersion, (void *, unsigned *version), *version = 13000)
FAKE(cuCtxGetDevice, (int *device), *device = 0)
FAKE(cuCtxPopCurrent_v2, (void **context), *context = kSomething)
FAKE_OF_NOTHING(cuCtxPushCurrent_v2)
FAKE_OF_NOTHING(cuCtxSetCurrent)
FAKE_OF_NOTHING(cuCtxDestroy_v2)
FAKE_OF_NOTHING(cuCtxSynchronize)
FAKE_OF_NOTHING(cuProfilerStop)
extern "C" int cuMemAlloc_v2(Address *at, size_t bytes) { return allocate(at, bytes); }
FAKE(cuMemFree_v2, (Address at), std::free(reinterpret_cast<void *>(at)))
FAKE(cuMemcpyHtoD_v2, (Address to, const void *from, size_t n), std::memcpy(reinterpret_cast<void *>(to), from, n))
FAKE(cuMemcpyDtoH_v2, (void *to, Address from, size_t n), std::memcpy(to, reinterpret_cast<void *>(from), n))
FAKE(cuMemcpyHtoDAsync_v2, (Address to, const void *from, size_t n, void *),
     std::memcpy(reinterpret_cast<void *>(to), from, n))
FAKE(cuMemcpyDtoHAsync_v2, (void *to, Address from, size_t n, void *),
     std::memcpy(to, reinterpret_cast<void *>(from), n))
FAKE(cuMemcpyDtoDAsync_v2, (Address to, Address from, size_t n, void *),
     std::memmove(reinterpret_cast<void *>(to), reinterpret_cast<void *>(from), n))
FAKE_OF_NOTHING(cuMemcpyDtoD_v2)
FAKE_OF_NOTHING(cuMemcpy3D_v2)
FAKE(cuPointerGetAttribute, (void *value, int, Address), *static_cast<unsigned *>(value) = 2)
FAKE(cuModuleLoadData, (void **module, const void *), *module = kSomething)
FAKE(cuModuleLoadDataEx, (void **module, const void *, unsigned, int *, void **), *module = kSomething)
FAKE(cuModuleGetFunction, (void **function, void *, const char *), *function = kSomething)
FAKE_OF_NOTHING(cuModuleUnload)
FAKE_OF_NOTHING(cuLaunchKernel)
FAKE(cuStreamCreate, (void **stream, unsigned), *stream = kSomething)
FAKE_OF_NOTHING(cuStreamDestroy_v2)
FAKE_OF_NOTHING(cuStreamSynchronize)
FAKE(cuStreamIsCapturing, (void *, int *state), *state = 0)
FAKE_OF_NOTHING(cuStreamBeginCapture_v2)
FAKE(cuStreamEndCapture, (void *, void **graph), *graph = kSomething)
FAKE(cuGraphInstantiateWithFlags, (void **graph, void *, unsigned long long), *graph = kSomething)
FAKE_OF_NOTHING(cuGraphLaunch)
FAKE_OF_NOTHING(cuGraphDestroy)
FAKE_OF_NOTHING(cuGraphExecDestroy)
