// As much of CUDA's runtime as hnorm/nccl.hpp calls, over memory of the process.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <cstring>

enum cudaError_t { cudaSuccess = 0, cudaErrorMemoryAllocation = 2, cudaErrorNotReady = 600 };
enum cudaMemcpyKind { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2 };
// Ready once what was queued is done; a rank that does not come leaves it so.
struct StubStream {
    bool ready = true;
};
using cudaStream_t = StubStream *;

inline cudaError_t cudaMalloc(void **memory, std::size_t bytes) {
    *memory = std::malloc(bytes);
    return *memory ? cudaSuccess : cudaErrorMemoryAllocation;
}
inline cudaError_t cudaFree(void *memory) {
    std::free(memory);
    return cudaSuccess;
}
inline cudaError_t cudaMemcpyAsync(void *to, const void *from, std::size_t bytes, cudaMemcpyKind, cudaStream_t) {
    std::memcpy(to, from, bytes);
    return cudaSuccess;
}
inline cudaError_t cudaStreamQuery(cudaStream_t stream) { return stream->ready ? cudaSuccess : cudaErrorNotReady; }
inline cudaError_t cudaStreamSynchronize(cudaStream_t stream) { return cudaStreamQuery(stream); }
