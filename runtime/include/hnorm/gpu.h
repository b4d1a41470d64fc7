/* hnorm on CUDA and OpenCL devices: the C interface of a library of its own, libhnorm_gpu.a (CMake: hnorm::gpu), which opens the
 * driver when it is asked for: nothing of it is linked, and a program starts on a machine without one.
 *
 * A thread that has called hnorm_use_cuda or hnorm_use_opencl may give hnorm.h's functions tensors that lie on that device. Then
 * every other array of the call lies there too: gamma, beta, statistics, sums, gradients. On CUDA pointers are the device's
 * addresses (CUdeviceptr, what cudaMalloc gives); on OpenCL a pointer is a cl_mem, cast, whose first byte the array starts at: a
 * view of a part of one is a cl_mem of clCreateSubBuffer.
 *
 * Calls queue their work on the stream and return. They neither wait for the device nor copy from it, nor, once they have run
 * with the same shapes, allocate its memory; the first call of each kernel compiles it. What fails on the device later shows in
 * a later call. Tensors on devices span 2^31 - 1 elements at most. Results have the CPU's bits. docs/gpu.md says more, and which
 * functions are the CPU's alone.
 *
 * Failures of the driver are HNORM_DEVICE_ERROR (memory: HNORM_OUT_OF_MEMORY) with its own words in hnorm_last_error().
 */
#ifndef HNORM_GPU_H
#define HNORM_GPU_H

#include <hnorm/hnorm.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The context (CUcontext) and stream (CUstream, cudaStream_t) of the calling thread's calls from now on. Null context: the thread's
 * current one, or where it has none the primary context of device 0, which the CUDA runtime uses. Null stream: the default one.
 * A stream is to be waited for before the program destroys it: a later one with its handle takes over its working memory.
 * HNORM_UNSUPPORTED where there is no driver or no device. */
hnorm_status hnorm_use_cuda(void *context, void *stream);

/* Likewise a cl_context of one device and an in-order cl_command_queue of it. Null context: the queue's. Null queue, which wants
 * a null context: hnorm's own queue, one for the process, on the first device of the first platform. */
hnorm_status hnorm_use_opencl(void *context, void *queue);

/* Memory of the calling thread's device, for who has no functions for it: `bytes` of it, 0 allowed. hnorm_device_free takes null
 * too, waits for the device, and frees memory of any context, whatever thread calls. Copies return when they are done;
 * they wait for what the stream has been given before. */
hnorm_status hnorm_device_allocate(hnorm_device device, size_t bytes, void **memory);
hnorm_status hnorm_device_free(hnorm_device device, void *memory);
hnorm_status hnorm_device_copy_in(hnorm_device device, void *to, const void *from, size_t bytes);
hnorm_status hnorm_device_copy_out(hnorm_device device, void *to, const void *from, size_t bytes);
/* Within the device, from one array to another that it does not overlap: queued on the stream. */
hnorm_status hnorm_device_copy(hnorm_device device, void *to, const void *from, size_t bytes);
/* Waits for what the calling thread's stream has been given. */
hnorm_status hnorm_device_synchronize(hnorm_device device);

/* Frees what hnorm keeps in the calling thread's context, its compiled kernels and working memory, after waiting for the device:
 * to be called before that context is destroyed, when no other thread uses it. Layers on the device and memory of
 * hnorm_device_allocate are not freed by it: they are to be destroyed before the context. The thread must ask for a device again.
 * Where waiting fails, that is the result, and everything is freed nevertheless. */
hnorm_status hnorm_device_release(hnorm_device device);

#ifdef __cplusplus
}
#endif

#endif /* HNORM_GPU_H */
