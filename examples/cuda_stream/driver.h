// The few functions of CUDA's driver that this example and cuda_graph call, found when it runs: it
// is built, and says why it cannot run, where there is no CUDA. A program of yours would include
// cuda.h or the runtime's header, and link.
#pragma once

#include <cstddef>
#include <cstdint>

// Handles are pointers, and CUdeviceptr is an address.
using Context = void *;
using Stream = void *;
using Graph = void *;  // one that can be launched (CUgraphExec)

class Driver {
public:
    // Throws std::runtime_error where there is no driver or no device.
    Driver();

    Context context() const { return context_; }  // device 0's primary one, current on this thread
    Stream make_stream() const;
    void destroy_stream(Stream stream) const;
    void *allocate(size_t bytes) const;
    void free(void *memory) const;
    // Both are queued on the stream.
    void copy_in(void *to, const void *from, size_t bytes, Stream stream) const;
    void copy_out(void *to, const void *from, size_t bytes, Stream stream) const;
    void synchronize(Stream stream) const;
    // What this thread gives the stream between these two is recorded, and does not run.
    void begin_capture(Stream stream) const;
    Graph end_capture(Stream stream) const;
    void launch(Graph graph, Stream stream) const;
    void destroy_graph(Graph graph) const;

private:
    using Address = uintptr_t;
    void check(const char *what, int result) const;

    int (*cuGetErrorString)(int, const char **) = nullptr;
    int (*cuInit)(unsigned) = nullptr;
    int (*cuDeviceGet)(int *, int) = nullptr;
    int (*cuDevicePrimaryCtxRetain)(Context *, int) = nullptr;
    int (*cuCtxSetCurrent)(Context) = nullptr;
    int (*cuStreamCreate)(Stream *, unsigned) = nullptr;
    int (*cuStreamDestroy_v2)(Stream) = nullptr;
    int (*cuStreamSynchronize)(Stream) = nullptr;
    int (*cuMemAlloc_v2)(Address *, size_t) = nullptr;
    int (*cuMemFree_v2)(Address) = nullptr;
    int (*cuMemcpyHtoDAsync_v2)(Address, const void *, size_t, Stream) = nullptr;
    int (*cuMemcpyDtoHAsync_v2)(void *, Address, size_t, Stream) = nullptr;
    int (*cuStreamBeginCapture_v2)(Stream, int) = nullptr;
    int (*cuStreamEndCapture)(Stream, void **) = nullptr;
    int (*cuGraphInstantiateWithFlags)(Graph *, void *, unsigned long long) = nullptr;
    int (*cuGraphLaunch)(Graph, Stream) = nullptr;
    int (*cuGraphDestroy)(void *) = nullptr;
    int (*cuGraphExecDestroy)(Graph) = nullptr;
    Context context_ = nullptr;
};
