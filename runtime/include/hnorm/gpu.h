/**
 * @file
 * hnorm on CUDA and OpenCL devices: the C interface of the library libhnorm_gpu.a (CMake:
 * hnorm::gpu).
 *
 * The library opens the driver of a device when a program asks for the device. A program that links
 * it also starts on a machine without a driver. docs/gpu.md has more details, and lists the
 * functions that run on the CPU only.
 *
 * @par Use
 * A thread calls hnorm_use_cuda or hnorm_use_opencl. Then it may give tensors of that device to the
 * functions of hnorm.h. All other arrays of such a call must lie on the device too: gamma, beta,
 * statistics, sums, gradients.
 *
 * @code{.c}
 * void *input, *output;  // on the device, 32*64*56*56 floats each
 * const int64_t shape[4] = {32, 64, 56, 56};
 * hnorm_use_cuda(NULL, stream);
 * hnorm_device_allocate(HNORM_CUDA, bytes, &input);
 * hnorm_device_allocate(HNORM_CUDA, bytes, &output);
 * hnorm_device_copy_in(HNORM_CUDA, input, values, bytes);
 *
 * hnorm_layer_to(bn, HNORM_CUDA);
 * hnorm_tensor x = hnorm_channels_first(input, 4, shape);
 * hnorm_tensor y = hnorm_channels_first(output, 4, shape);
 * x.device = y.device = HNORM_CUDA;
 * hnorm_layer_forward(bn, &x, &y);                           // queued on the stream
 * hnorm_device_copy_out(HNORM_CUDA, values, output, bytes);  // waits for the result
 * @endcode
 *
 * @par Pointers
 * - On CUDA a pointer is an address of the device: a CUdeviceptr, or a pointer of cudaMalloc.
 * - On OpenCL a pointer is a cl_mem, cast to the type of the pointer. The array starts at the first
 *   byte of the cl_mem. For a part of a cl_mem, use clCreateSubBuffer.
 *
 * @par Order
 * Calls queue their work on the stream and return. They do not wait for the device, and they copy
 * nothing from it. The first call of a kernel compiles the kernel. The first call with a shape
 * allocates memory of the device, later calls with the same shapes do not. If a kernel fails after
 * its call has returned, a later call returns the error.
 *
 * @par Results and limits
 * Results have the same bits as on the CPU. A tensor on a device spans at most 2^31 - 1 elements.
 *
 * @par Errors
 * If a driver fails, the result is HNORM_DEVICE_ERROR, or HNORM_OUT_OF_MEMORY if memory ran out.
 * hnorm_last_error() quotes the driver. In the functions below, HNORM_CPU as the device is
 * HNORM_INVALID_ARGUMENT. A device that the calling thread has not asked for is HNORM_UNSUPPORTED.
 */
#ifndef HNORM_GPU_H
#define HNORM_GPU_H

#include <hnorm/hnorm.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Chooses the CUDA context and stream for later calls of this thread.
 *
 * If there is no driver or no device, the result is HNORM_UNSUPPORTED. Before a program destroys a
 * stream, it must wait for the stream: a later stream with the same handle takes over the working
 * memory.
 *
 * A stream may be captured for a CUDA graph, after each call has run once there with its shapes.
 * During the capture, what allocates, frees or waits is refused with HNORM_UNSUPPORTED.
 *
 * @param context  A CUcontext. Null is the current context of the thread. If the thread has none,
 *                 null is the primary context of device 0, which the CUDA runtime uses.
 * @param stream   A CUstream or cudaStream_t. Null is the default stream.
 */
hnorm_status hnorm_use_cuda(void *context, void *stream);

/**
 * Chooses the OpenCL context and queue for later calls of this thread.
 *
 * The result is HNORM_UNSUPPORTED if there is no driver or no device, if the context has more than
 * one device, or if the device has no double precision. It is HNORM_INVALID_ARGUMENT if the queue
 * does not keep the order of its commands, or does not belong to the context.
 *
 * @param context  A cl_context of one device. Null is the context of the queue.
 * @param queue    A cl_command_queue that keeps the order of its commands. Null is a queue of
 *                 hnorm, the same for the whole process, on the first device of the first platform.
 *                 Then the context must be null too.
 */
hnorm_status hnorm_use_opencl(void *context, void *queue);

/**
 * Allocates memory in the context of the calling thread.
 *
 * This function and the next ones are for programs that have no functions of their own for memory
 * on devices.
 *
 * @param device  HNORM_CUDA or HNORM_OPENCL.
 * @param bytes   The size. 0 is allowed.
 * @param memory  Receives the memory: an address, or a cl_mem on OpenCL.
 */
hnorm_status hnorm_device_allocate(hnorm_device device, size_t bytes, void **memory);
/**
 * Frees memory of hnorm_device_allocate, after the work that uses it.
 *
 * On CUDA the function waits for the context of the memory. On OpenCL it waits for the queue of the
 * calling thread if that belongs to the context, and the driver waits for other queues. Any thread
 * may free the memory of any context. If the wait fails, the function returns that error, and frees
 * the memory nevertheless.
 *
 * @param device  The device of the memory.
 * @param memory  The memory. Null is allowed. Other memory, or memory that is already free, is
 *                HNORM_INVALID_ARGUMENT.
 */
hnorm_status hnorm_device_free(hnorm_device device, void *memory);
/**
 * Copies from the CPU to the device.
 *
 * The copy waits for the work that the stream already has. The function returns when the copy is
 * done.
 *
 * @param device  HNORM_CUDA or HNORM_OPENCL.
 * @param to      Memory of the device.
 * @param from    Memory of the CPU.
 * @param bytes   The size. With 0, pointers may be null.
 */
hnorm_status hnorm_device_copy_in(hnorm_device device, void *to, const void *from, size_t bytes);
/**
 * Copies from the device to the CPU.
 *
 * The copy waits for the work that the stream already has. The function returns when the copy is
 * done.
 *
 * @param device  HNORM_CUDA or HNORM_OPENCL.
 * @param to      Memory of the CPU.
 * @param from    Memory of the device.
 * @param bytes   The size. With 0, pointers may be null.
 */
hnorm_status hnorm_device_copy_out(hnorm_device device, void *to, const void *from, size_t bytes);
/**
 * Queues a copy within the device on the stream, and returns.
 *
 * @param device  HNORM_CUDA or HNORM_OPENCL.
 * @param to      Memory of the device.
 * @param from    Memory of the device that does not overlap `to`.
 * @param bytes   The size. With 0, pointers may be null.
 */
hnorm_status hnorm_device_copy(hnorm_device device, void *to, const void *from, size_t bytes);
/** Waits until the stream of the calling thread has done all its work. */
hnorm_status hnorm_device_synchronize(hnorm_device device);

/**
 * Waits for the device, and frees everything that hnorm keeps in the context of the calling thread:
 * compiled kernels and working memory.
 *
 * Call it before the program destroys the context, while no other thread uses it. It does not free
 * layers on the device or memory of hnorm_device_allocate: destroy these before the context too.
 * After the call, the thread must ask for a device again, and CUDA graphs that were captured in the
 * context must not be launched. If the wait fails, the function returns that error, and frees
 * everything nevertheless.
 *
 * @param device  HNORM_CUDA or HNORM_OPENCL.
 */
hnorm_status hnorm_device_release(hnorm_device device);

#ifdef __cplusplus
}
#endif

#endif /* HNORM_GPU_H */
