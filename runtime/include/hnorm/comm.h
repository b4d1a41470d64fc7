/**
 * @file
 * Batch norm over several processes, with statistics of all of their samples.
 *
 * Each process is a rank, and has some of the samples of a batch. The batch is all samples, in the
 * order of the ranks. A layer with an hnorm_comm normalizes with the statistics of the whole batch
 * (what PyTorch calls SyncBatchNorm). All ranks get the same statistics, bit for bit. They also have
 * the bits of a single process with the whole batch, if ranks begin at borders of the order of
 * summation: docs/order.md, "Ranks", says which these are. Multiples of 32 samples are, but of 1024
 * for (N, C) tensors with 2 to 15 channels, and often less will do.
 *
 * hnorm needs one function of the program for this: an all-gather. It is not linked with MPI, NCCL
 * or any other transport. mpi.hpp, gloo.hpp and nccl.hpp make the function for these.
 *
 * @code{.c}
 * hnorm_comm comm = hnorm_comm_of(rank, ranks, all_gather, my_transport);
 * hnorm_layer_set_comm(bn, &comm);
 * hnorm_layer_forward(bn, &x, &y);        // on every rank: statistics of all samples
 * hnorm_layer_backward(bn, &x, &dy, &dx);
 * @endcode
 *
 * What a layer does over ranks:
 * - Forward in training uses the statistics of the whole batch, and updates the running statistics
 *   with them, so these are the same on all ranks. Evaluation is local.
 * - Backward gives the gradient of a loss that is the sum of the losses of all ranks.
 * - A rank may have no samples (an x with N = 0). It takes part all the same. If no rank has
 *   samples, nothing changes.
 *
 * @par Failures
 * A call of a layer with an hnorm_comm must be made by all ranks, in the same order. Each message
 * begins with what the call is: the tag, the step, the operation, the channels, the positions, the
 * type, the layout, the activation, and whether there is a residual. A call fails on every rank if
 * these differ, or if a rank has refused its arguments or has run out of memory. hnorm_last_error()
 * then names the rank and the reason. The status is HNORM_COMM_ERROR, and on the rank that failed its
 * own. The layers stay as they were.
 *
 * There is one exception: if memory runs out after the last message, a call fails on one rank alone,
 * and its next call of the layer tells the others.
 *
 * Ranks that have made different calls count differently from then on. hnorm_layer_set_comm on all of
 * them begins anew.
 */
#ifndef HNORM_COMM_H
#define HNORM_COMM_H

#include <hnorm/hnorm.h>

#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif
#ifdef __cplusplus
extern "C" {
#endif

/**
 * The bytes of every rank, in the order of the ranks.
 *
 * All ranks call it with the same number of bytes. It returns when `all` is complete, or when it
 * has given up. It must not throw.
 *
 * @param argument  That of hnorm_comm.
 * @param mine      The bytes of this rank.
 * @param bytes     How many these are, 1 or more.
 * @param all       Receives ranks * bytes. It does not overlap `mine`.
 * @return 0, or another number if it failed, for example because a rank did not come in time. The
 *         error message of the call says the number. The communication between the ranks should not
 *         be used after that.
 */
typedef int (*hnorm_all_gather)(void *argument, const void *mine, size_t bytes, void *all);

/** How the gradients of gamma and beta are summed. */
typedef enum hnorm_gradients HNORM_AN_INT {
    /** Over all samples: the same on all ranks, and those of a single process. */
    HNORM_GRADIENTS_OF_ALL = 0,
    /** Over the samples of each rank, for programs that add or average gradients themselves, as
     * PyTorch's DistributedDataParallel does. */
    HNORM_GRADIENTS_OF_RANK = 1
} hnorm_gradients;

/** A group of processes that share statistics. */
typedef struct hnorm_comm {
    /** sizeof(hnorm_comm). */
    size_t size;
    /** The place of this process, 0 to ranks - 1. */
    int rank;
    /** The number of processes, 1 or more. */
    int ranks;
    /** The all-gather of the program. */
    hnorm_all_gather all_gather;
    /** The first argument of all_gather. */
    void *argument;
    /** Tells layers apart: the same number on all ranks for the same layer. A call of different
     * layers by different ranks is an error then. */
    int64_t tag;
    /** The gradients of gamma and beta. */
    hnorm_gradients gradients;
    /** 0. */
    int reserved;
} hnorm_comm;
/** Makes a group of processes, with tag 0 and the gradients of all samples. */
static inline hnorm_comm hnorm_comm_of(int rank, int ranks, hnorm_all_gather all_gather, void *argument) {
    const hnorm_comm comm = {sizeof(hnorm_comm), rank, ranks, all_gather, argument, 0, HNORM_GRADIENTS_OF_ALL, 0};
    return comm;
}

/**
 * Makes a batch norm share its statistics with other processes.
 *
 * The layer must be one of HNORM_BATCH (HNORM_UNSUPPORTED). It forgets its latest forward. Its
 * counter of steps, by which calls are compared, begins at 0.
 *
 * A layer on a device waits for the device in each call. Its ranks tell each other the moments and
 * sums of their samples, so that all have the same bits, but not always those of a single process. An
 * activation without a residual takes its sign from y as it is stored.
 *
 * @param layer  The layer.
 * @param comm   The processes, which is copied, or null for this process alone.
 */
hnorm_status hnorm_layer_set_comm(hnorm_layer *layer, const hnorm_comm *comm);

#ifdef __cplusplus
}
#endif
#if defined(__GNUC__)
#pragma GCC visibility pop
#endif
#endif
