#include "driver.h"

#include <dlfcn.h>

#include <stdexcept>
#include <string>
#include <type_traits>

Driver::Driver() {
    void *const library = dlopen("libcuda.so.1", RTLD_NOW);
    if (library == nullptr) throw std::runtime_error(std::string("there is no CUDA driver: ") + dlerror());
    const auto find = [&](const char *name, auto &function) {
        function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
        if (function == nullptr) throw std::runtime_error(std::string("the CUDA driver has no ") + name);
    };
    find("cuGetErrorString", cuGetErrorString);
    find("cuInit", cuInit);
    find("cuDeviceGet", cuDeviceGet);
    find("cuDevicePrimaryCtxRetain", cuDevicePrimaryCtxRetain);
    find("cuCtxSetCurrent", cuCtxSetCurrent);
    find("cuStreamCreate", cuStreamCreate);
    find("cuStreamDestroy_v2", cuStreamDestroy_v2);
    find("cuStreamSynchronize", cuStreamSynchronize);
    find("cuMemAlloc_v2", cuMemAlloc_v2);
    find("cuMemFree_v2", cuMemFree_v2);
    find("cuMemcpyHtoDAsync_v2", cuMemcpyHtoDAsync_v2);
    find("cuMemcpyDtoHAsync_v2", cuMemcpyDtoHAsync_v2);
    find("cuStreamBeginCapture_v2", cuStreamBeginCapture_v2);
    find("cuStreamEndCapture", cuStreamEndCapture);
    find("cuGraphInstantiateWithFlags", cuGraphInstantiateWithFlags);
    find("cuGraphLaunch", cuGraphLaunch);
    find("cuGraphDestroy", cuGraphDestroy);
    find("cuGraphExecDestroy", cuGraphExecDestroy);
    check("cuInit", cuInit(0));
    int device;
    check("cuDeviceGet", cuDeviceGet(&device, 0));
    check("cuDevicePrimaryCtxRetain", cuDevicePrimaryCtxRetain(&context_, device));
    check("cuCtxSetCurrent", cuCtxSetCurrent(context_));
}

void Driver::check(const char *what, int result) const {
    if (result == 0) return;
    const char *text = nullptr;
    cuGetErrorString(result, &text);
    throw std::runtime_error(std::string(what) + ": " + (text ? text : "unknown error " + std::to_string(result)));
}

Stream Driver::make_stream() const {
    constexpr unsigned kNonBlocking = 1;  // it does not wait for the default stream
    Stream stream;
    check("cuStreamCreate", cuStreamCreate(&stream, kNonBlocking));
    return stream;
}
void Driver::destroy_stream(Stream stream) const { check("cuStreamDestroy", cuStreamDestroy_v2(stream)); }

void *Driver::allocate(size_t bytes) const {
    Address memory;
    check("cuMemAlloc", cuMemAlloc_v2(&memory, bytes));
    return reinterpret_cast<void *>(memory);
}
void Driver::free(void *memory) const { check("cuMemFree", cuMemFree_v2(reinterpret_cast<Address>(memory))); }

void Driver::copy_in(void *to, const void *from, size_t bytes, Stream stream) const {
    check("cuMemcpyHtoDAsync", cuMemcpyHtoDAsync_v2(reinterpret_cast<Address>(to), from, bytes, stream));
}
void Driver::copy_out(void *to, const void *from, size_t bytes, Stream stream) const {
    check("cuMemcpyDtoHAsync", cuMemcpyDtoHAsync_v2(to, reinterpret_cast<Address>(from), bytes, stream));
}
void Driver::synchronize(Stream stream) const { check("cuStreamSynchronize", cuStreamSynchronize(stream)); }

void Driver::begin_capture(Stream stream) const {
    constexpr int kThreadLocal = 1;  // other threads may go on allocating
    check("cuStreamBeginCapture", cuStreamBeginCapture_v2(stream, kThreadLocal));
}
Graph Driver::end_capture(Stream stream) const {
    void *recorded;
    Graph graph;
    check("cuStreamEndCapture", cuStreamEndCapture(stream, &recorded));
    check("cuGraphInstantiate", cuGraphInstantiateWithFlags(&graph, recorded, 0));
    check("cuGraphDestroy", cuGraphDestroy(recorded));
    return graph;
}
void Driver::launch(Graph graph, Stream stream) const { check("cuGraphLaunch", cuGraphLaunch(graph, stream)); }
void Driver::destroy_graph(Graph graph) const { check("cuGraphExecDestroy", cuGraphExecDestroy(graph)); }
