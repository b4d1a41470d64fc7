/**
 * @file
 * The C interface of hnorm: batch, instance and group normalization.
 *
 * This page has what all functions have in common. The functions are in the headers that it includes:
 *
 * | header      | has                                                                           |
 * |-------------|-------------------------------------------------------------------------------|
 * | status.h    | statuses, error messages, versions                                            |
 * | tensor.h    | tensors, kinds of groups, gamma and beta, residuals and activations           |
 * | functions.h | moments, forward and backward                                                 |
 * | layer.h     | layers: parameters, gradients and running statistics around the functions     |
 * | settings.h  | threads, targets, kernel packs                                                |
 *
 * A program includes these where it needs them: context.h (settings for a part of a program), comm.h
 * (many processes), wisdom.h (choices that were measured on this machine), openmp.h (a pool of
 * threads), gpu.h (CUDA and OpenCL, a library of its own), state.h (saved layers, likewise).
 *
 * @par Tensors and groups
 * A tensor has the shape (N, C, spatial...) and rank 2 to 5: N samples of C channels. S is the
 * number of positions, which is the product of the spatial extents, or 1 for rank 2.
 *
 * A group is a set of elements that are normalized together. Each group has its own mean and
 * variance. An argument of type hnorm_group chooses one of three kinds:
 *
 * | argument        | a group is                                | groups | elements | index   |
 * |-----------------|-------------------------------------------|--------|----------|---------|
 * | HNORM_BATCH     | one channel of all samples                | C      | N*S      | c       |
 * | HNORM_INSTANCE  | one channel of one sample                 | N*C    | S        | n*C + c |
 * | hnorm_groups(G) | C/G neighbouring channels of one sample   | N*G    | C/G * S  | n*G + g |
 *
 * "One value a group" means an array with one value for each group, in the order of the last
 * column.
 *
 * @par Errors
 * A function that can fail returns an hnorm_status. After a failure, hnorm_last_error() says in
 * a sentence which argument was wrong, which value it had, and which values are allowed.
 *
 * A function checks all arguments before it writes anything. If it refuses an argument
 * (HNORM_INVALID_ARGUMENT, HNORM_UNSUPPORTED), nothing has changed.
 *
 * The computation itself can fail too: memory runs out (HNORM_OUT_OF_MEMORY), a device fails
 * (HNORM_DEVICE_ERROR), or the parallel_for of the caller does not run its tasks
 * (HNORM_INVALID_ARGUMENT). Then the contents of the outputs of that call are unspecified. This
 * includes x if the call works in place. The running statistics of a layer stay as they were.
 *
 * @par Limits
 * - N*C, the number of positions, and each stride are at most 2,000,000,000.
 * - If channels are adjacent in memory, neighbouring positions (neighbouring samples, if there is
 *   one position) are at most 62,500,000 elements apart.
 * - A tensor spans at most 2^40 elements, padding included.
 *
 * A call that exceeds a limit returns HNORM_UNSUPPORTED.
 *
 * @par Empty tensors
 * A tensor with an extent of 0 is valid input to every function. Functions compute nothing then.
 * hnorm_moments, hnorm_backward_reduce and the functions that give dgamma and dbeta write zeros to
 * these arrays. Other outputs stay as they were.
 *
 * @par Pointers
 * - A pointer to an array must not be null unless its length is 0 or the function allows it. It
 *   must be aligned as its elements are.
 * - An array or tensor that a function writes must not overlap another argument, unless the
 *   function allows it. Arguments that are only read may overlap each other.
 * - "y may be x" means the same memory with the same strides. Two tensors may also be interleaved
 *   in one piece of memory, if they share no element and have the same strides.
 *
 * @par Structures
 * A structure that a program passes begins with its size. These functions make structures with
 * their size and defaults: hnorm_dense, hnorm_affine_of, hnorm_post_ops_defaults,
 * hnorm_post_ops_gradient_defaults, hnorm_layer_defaults, hnorm_comm_of, hnorm_allocator_of. A
 * program then changes the fields that differ.
 *
 * The size lets later versions add fields. A program that was compiled with an older header runs
 * with a newer library, which takes the fields that it misses as 0. A newer program runs with an
 * older library, which returns HNORM_UNSUPPORTED if a field that it does not know is not 0. A size
 * that is too small returns HNORM_INVALID_ARGUMENT.
 *
 * @par Threads
 * Several threads may call all functions at the same time, with two exceptions. Two threads must
 * not train, change or give to backward the same layer at the same time. The target and
 * parallel_for must not be changed while another thread computes with them; the number of threads
 * may. The settings of settings.h hold for the whole process; context.h has settings for a thread or a layer. A child of
 * fork() may compute; it starts its own threads. A call needs 64 KiB of stack.
 */
#ifndef HNORM_H
#define HNORM_H

#include <hnorm/functions.h>
#include <hnorm/layer.h>
#include <hnorm/settings.h>
#include <hnorm/status.h>
#include <hnorm/tensor.h>

#endif
