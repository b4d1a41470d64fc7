// The functions of the driver that stands in for CUDA's, and how programs find them.
#include "cuda_stand_in.h"

#include "../catch.hpp"

#include <cstdlib>
#include <cstring>
#include <iterator>

using namespace cuda_stand_in;

namespace {

std::set<uintptr_t> of_vectors;     // modules whose threads load several elements at once
std::map<uintptr_t, size_t> sizes;  // of memory

// As the process ends Halide's runtime unloads what it has, after all of this is gone: the driver
// is, too, by then.
bool process_ends = false;
struct AtEnd {
    ~AtEnd() { process_ends = true; }
} at_end;

const std::set<std::string> kTellNoFailure = {"cuGetErrorName", "cuGetErrorString", "cuCtxPopCurrent_v2"};

// What CUDA permits while a stream is captured; all else ends the capture with an error.
const std::set<std::string> kPermittedInCapture = {
    "cuGetErrorName",      "cuGetErrorString",   "cuCtxGetCurrent",      "cuCtxGetDevice",
    "cuCtxPushCurrent_v2", "cuCtxPopCurrent_v2", "cuDeviceGetAttribute", "cuPointerGetAttribute",
    "cuStreamIsCapturing", "cuLaunchKernel",     "cuModuleGetFunction",  "cuMemcpyDtoDAsync_v2"};

// Counts the call; false where it is to fail.
bool count(const char *name, int *result) {
    calls[name]++;
    if (captured && kPermittedInCapture.count(name) == 0) {
        capture_is_broken = true;
        *result = 900;  // CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED
        return false;
    }
    if (left_to_go >= 0 && kTellNoFailure.count(name) == 0 && left_to_go-- == 0) {
        failed = name;
        *result = 719;
        return false;
    }
    const auto found = failing.find(name);
    *result = found == failing.end() ? 0 : found->second;
    return *result == 0;
}
#define FAKE(name, parameters, work)     \
    int name parameters {                \
        if (process_ends) return 4;      \
        int result;                      \
        if (count(#name, &result)) work; \
        return result;                   \
    }
using Address = uintptr_t;
FAKE(cuInit, (unsigned), {})
FAKE(cuGetErrorName, (int, const char **text), *text = "CUDA_ERROR_PRETENDED")
FAKE(cuGetErrorString, (int, const char **text), *text = "the words of the driver")
FAKE(cuDeviceGet, (int *device, int), *device = 0)
FAKE(cuDeviceGetAttribute, (int *value, int, int), *value = 0)
FAKE(cuDevicePrimaryCtxGetState, (int, unsigned *, int *active), *active = primary_is_active)
FAKE(cuDevicePrimaryCtxRetain, (void **context, int), {
    *context = kPrimary;
    primary_is_active = 1;
})
FAKE(cuCtxGetCurrent, (void **context), *context = current.empty() ? nullptr : current.back())
FAKE(cuCtxGetDevice, (int *device), *device = 0)
FAKE(cuCtxSynchronize, (), REQUIRE(!current.empty()))
FAKE(cuCtxPushCurrent_v2, (void *context), {
    if (destroyed.count(context)) return 201;
    current.push_back(context);
})
FAKE(cuCtxPopCurrent_v2, (void **context), (*context = current.back(), current.pop_back()))
FAKE(cuMemAlloc_v2, (Address * at, size_t bytes), {
    if (memory.size() >= capacity) return 2;
    *at = reinterpret_cast<Address>(std::calloc(bytes, 1));
    memory[*at] = current.back();
    sizes[*at] = bytes;
})
FAKE(cuMemFree_v2, (Address at), {
    REQUIRE(memory.at(at) == current.back());
    memory.erase(at);
    std::free(reinterpret_cast<void *>(at));
})
FAKE(cuMemcpyHtoDAsync_v2, (Address to, const void *from, size_t bytes, void *),
     std::memcpy(reinterpret_cast<void *>(to), from, bytes))
FAKE(cuMemcpyDtoHAsync_v2, (void *to, Address from, size_t bytes, void *),
     std::memcpy(to, reinterpret_cast<void *>(from), bytes))
FAKE(cuMemcpyDtoDAsync_v2, (Address to, Address from, size_t bytes, void *),
     std::memcpy(reinterpret_cast<void *>(to), reinterpret_cast<void *>(from), bytes))
FAKE(cuStreamSynchronize, (void *), {})
FAKE(cuStreamIsCapturing, (void *stream, int *state), *state = captured && stream == captured)
FAKE(cuPointerGetAttribute, (void *value, int, Address at), {
    const auto after = memory.upper_bound(at);
    const bool is_known = after != memory.begin() && at - std::prev(after)->first < sizes[std::prev(after)->first];
    result = is_known ? 0 : 1;
    *static_cast<unsigned *>(value) = 2;
})
FAKE(cuModuleLoadDataEx, (void **module, const void *image, unsigned given, int *options, void **values), {
    static uintptr_t last = 0;
    *module = reinterpret_cast<void *>(++last);
    modules[last] = current.back();
    const bool vectors = std::strstr(static_cast<const char *>(image), "ld.global.nc.v") != nullptr;
    if (vectors) of_vectors.insert(last);
    REQUIRE((given == 1 && options[0] == 0));  // CU_JIT_MAX_REGISTERS
    REQUIRE(reinterpret_cast<uintptr_t>(values[0]) == (vectors ? 128 : 64));
})
FAKE(cuModuleUnload, (void *module), {
    REQUIRE(modules.at(reinterpret_cast<uintptr_t>(module)) == current.back());
    modules.erase(reinterpret_cast<uintptr_t>(module));
})
FAKE(cuModuleGetFunction, (void **function, void *module, const char *), {
    REQUIRE(modules.at(reinterpret_cast<uintptr_t>(module)) == current.back());
    *function = module;
})
FAKE(cuLaunchKernel,
     (void *function, unsigned x, unsigned y, unsigned z, unsigned threads_x, unsigned threads_y, unsigned threads_z,
      unsigned, void *stream, void **, void **),
     {
         REQUIRE((x > 0 && y > 0 && z > 0 && y <= 65535 && z <= 65535));
         const bool takes_vectors = of_vectors.count(reinterpret_cast<uintptr_t>(function)) == 1;
         // A block has 65536 registers.
         REQUIRE(threads_x * threads_y * threads_z <= (takes_vectors ? 512 : 1024));
         launches.push_back({current.empty() ? nullptr : current.back(), stream, takes_vectors});
     })
// What Halide's runtime looks for and hnorm must not need.
int not_to_be_called() {
    calls["others"]++;
    return 999;
}

}  // namespace

extern "C" {
void *__real_dlopen(const char *name, int flags);
void *__real_dlsym(void *library, const char *name);
void *__wrap_dlopen(const char *name, int flags) {
    if (name && std::strstr(name, "libcuda.so"))
        return present ? &memory : __real_dlopen("libcuda.of.nobody.so", flags);
    return __real_dlopen(name, flags);
}
void *__wrap_dlsym(void *library, const char *name) {
    if (library != &memory) return std::strncmp(name, "cu", 2) == 0 ? nullptr : __real_dlsym(library, name);
    const std::map<std::string, void *> functions = {
#define KNOWN(name) {#name, reinterpret_cast<void *>(name)}
        KNOWN(cuInit),
        KNOWN(cuGetErrorName),
        KNOWN(cuGetErrorString),
        KNOWN(cuDeviceGet),
        KNOWN(cuDeviceGetAttribute),
        KNOWN(cuDevicePrimaryCtxGetState),
        KNOWN(cuDevicePrimaryCtxRetain),
        KNOWN(cuCtxGetCurrent),
        KNOWN(cuCtxGetDevice),
        KNOWN(cuCtxSynchronize),
        KNOWN(cuCtxPushCurrent_v2),
        KNOWN(cuCtxPopCurrent_v2),
        KNOWN(cuMemAlloc_v2),
        KNOWN(cuMemFree_v2),
        KNOWN(cuMemcpyHtoDAsync_v2),
        KNOWN(cuMemcpyDtoHAsync_v2),
        KNOWN(cuMemcpyDtoDAsync_v2),
        KNOWN(cuStreamSynchronize),
        KNOWN(cuStreamIsCapturing),
        KNOWN(cuPointerGetAttribute),
        KNOWN(cuModuleLoadDataEx),
        KNOWN(cuModuleUnload),
        KNOWN(cuModuleGetFunction),
        KNOWN(cuLaunchKernel)};
    const auto found = functions.find(name);
    return found == functions.end() ? reinterpret_cast<void *>(not_to_be_called) : found->second;
}
}
