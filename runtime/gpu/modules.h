// Halide's account of the kernels that it has compiled: of each context its modules.
#pragma once

#include <HalideRuntime.h>

#include <cstdint>

namespace hnorm::gpu {

// As GPUCompilationCache in Halide's src/runtime/gpu_context_common.h has it: a hash table of
// 2^bits entries.
struct ModuleTable {
    struct Entry {
        void *context, *module;
        uintptr_t id;    // 0: no entry yet; 1: no entry any more
        uintptr_t uses;  // by calls that run
    };
    halide_mutex mutex;
    int bits;  // 0: no entries
    Entry *entries;
    int count;
    uintptr_t next_id;
};
#if HALIDE_VERSION_MAJOR != 21
#error "ModuleTable is what Halide 21 has: compare it with this version's"
#endif

// Unloads the context's modules; null: they are gone already. halide_device_release does not do: it
// takes entries that are no more for modules to unload and counts them again, so that it unloads
// nothing at its next turn, and ends early where the device has failed.
void release_modules(ModuleTable &table, void *context, int (*unload)(void *module));

}  // namespace hnorm::gpu

namespace Halide::Runtime::Internal {
namespace Cuda {
extern hnorm::gpu::ModuleTable compilation_cache;
}
namespace OpenCL {
extern hnorm::gpu::ModuleTable compilation_cache;
}
}  // namespace Halide::Runtime::Internal
