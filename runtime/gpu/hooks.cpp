// What Halide's runtime asks of hnorm on devices. Its own functions of these names are weak
// symbols.
#include <HalideRuntimeCuda.h>
#include <HalideRuntimeOpenCL.h>

#include <dlfcn.h>

#include <atomic>
#include <cstdio>
#include <cstring>

#include "device_kernels.h"
#include "error.h"
#include "launch.h"
#include "memory.h"

namespace hnorm::gpu {

using namespace hnorm::detail;

namespace {

// A launch's first failure, on the thread that launched: what follows from it says less.
struct Failure {
    hnorm_status status = HNORM_OK;
    char message[900] = "";

    void record(hnorm_status why, const char *text) {
        if (status == HNORM_OK) {
            status = why;
            std::snprintf(message, sizeof message, "%s", text);
        }
    }
};
thread_local Failure failure;

std::atomic<Driver *> known[3] = {};

// Loads a module for Halide's runtime, which lets its threads have 64 registers at most: a block
// may have 1024 threads. Kernels of this project have blocks of 512 threads at most
// (schedules/space/gpu.json). Those that take 16 bytes at once need more for what they have at
// once.
using LoadModule = int (*)(void **module, const void *image, unsigned count, int *options, void **values);
LoadModule load_module = nullptr;
int load_with_registers(void **module, const void *image, unsigned count, int *options, void **values) {
    constexpr int kMostRegisters = 0;  // CU_JIT_MAX_REGISTERS
    constexpr uintptr_t kMany = 128;
    void *many = reinterpret_cast<void *>(kMany);
    const bool takes_vectors = std::strstr(static_cast<const char *>(image), "ld.global.nc.v") != nullptr;
    const bool can = count == 1 && options[0] == kMostRegisters;
    return load_module(module, image, count, options, takes_vectors && can ? &many : values);
}

void *find_symbol(void *library, const char *name) {
    void *const symbol = halide_default_get_library_symbol(library, name);
    if (symbol == nullptr || std::strcmp(name, "cuModuleLoadDataEx") != 0) {
        return symbol;
    }
    load_module = reinterpret_cast<LoadModule>(symbol);
    return reinterpret_cast<void *>(load_with_registers);
}

void install_hooks() {
    // The default handler aborts the process.
    halide_set_error_handler([](void *, const char *message) { failure.record(HNORM_DEVICE_ERROR, message); });
    halide_set_custom_load_library(open_library);
    halide_set_custom_get_library_symbol(find_symbol);
}

}  // namespace

void *open_library(const char *name) {
    char with_version[256];
    std::snprintf(with_version, sizeof with_version, "%s.1", name);
    void *const library = dlopen(with_version, RTLD_LAZY);
    return library ? library : dlopen(name, RTLD_LAZY);
}

Driver *driver_of(hnorm_device device) { return known[device]; }

Driver &driver_of(const halide_device_interface_t *interface) {
    return *known[interface == halide_cuda_device_interface() ? HNORM_CUDA : HNORM_OPENCL];
}

void use(Driver &driver) {
    static const bool installed = (install_hooks(), true);
    (void)installed;
    known[driver.device()] = &driver;
    set_device_of_thread(driver.device(), &device_table(driver.device()));
}

void begin_launch() { failure.status = HNORM_OK; }

hnorm_status end_launch(const char *function, int code) {
    if (code == halide_error_code_success) {
        return HNORM_OK;
    }
    failure.record(code == halide_error_code_out_of_memory ? HNORM_OUT_OF_MEMORY : HNORM_DEVICE_ERROR,
                   "the device's runtime failed and gave no reason");
    return fail(failure.status, "%s: %s", function, failure.message);
}

}  // namespace hnorm::gpu

using namespace hnorm::gpu;

extern "C" {

int halide_device_malloc(void *, halide_buffer_t *buffer, const halide_device_interface_t *interface) {
    if (buffer->device != 0) {
        return halide_error_code_success;  // a call's argument
    }
    void *memory = nullptr;
    Driver &driver = driver_of(interface);
    const hnorm_status status = take("working memory", driver, static_cast<int64_t>(buffer->size_in_bytes()), &memory);
    if (status != HNORM_OK) {
        failure.record(status, hnorm_last_error());
        return halide_error_code_device_malloc_failed;
    }
    return halide_device_wrap_native(nullptr, buffer, reinterpret_cast<uintptr_t>(memory), interface);
}

int halide_device_free(void *, halide_buffer_t *buffer) {
    if (buffer->device == 0) {
        return halide_error_code_success;
    }
    const halide_device_interface_t *const interface = buffer->device_interface;
    const uintptr_t memory = interface == halide_cuda_device_interface() ? halide_cuda_get_device_ptr(nullptr, buffer)
                                                                         : halide_opencl_get_cl_mem(nullptr, buffer);
    give_back(driver_of(interface), reinterpret_cast<void *>(memory), static_cast<int64_t>(buffer->size_in_bytes()));
    buffer->set_device_dirty(false);
    return halide_device_detach_native(nullptr, buffer);
}

}  // extern "C"
