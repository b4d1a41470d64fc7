/**
 * @file
 * Settings for one part of a program: threads, target and memory.
 *
 * The settings of settings.h (hnorm_set_num_threads, hnorm_set_parallel_for, hnorm_set_target) hold
 * for the whole process. A context holds settings for the calls of one thread or of one layer. So two
 * components of a program can have different ones. No setting changes a result.
 *
 * @code{.c}
 * hnorm_context *context = NULL;
 * hnorm_context_create(&context);  // returns a status, as the calls below do
 * hnorm_context_set_num_threads(context, 2);
 *
 * hnorm_context *before = hnorm_use_context(context);  // this thread's calls use it ...
 * hnorm_forward(&x, HNORM_BATCH, NULL, 1e-5, NULL, &y, NULL, NULL);
 * hnorm_use_context(before);                           // ... until here
 *
 * hnorm_layer_set_context(bn, context);                // each call of this layer uses it
 * hnorm_layer_forward(bn, &x, &y);
 * hnorm_layer_destroy(bn);
 * hnorm_context_destroy(context);
 * @endcode
 *
 * A new context has the defaults of a new process: the number of threads of HNORM_NUM_THREADS or of
 * the machine, the threads of hnorm, the target of HNORM_TARGET or the best one, and malloc. What
 * settings.h sets for the process does not change it.
 *
 * All contexts share the threads of hnorm. Devices (gpu.h) have no settings here.
 *
 * A context must live as long as a thread or a layer uses it. Several threads may use it at the
 * same time, but a setting must not be changed meanwhile.
 */
#ifndef HNORM_CONTEXT_H
#define HNORM_CONTEXT_H

#include <hnorm/hnorm.h>

#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif
#ifdef __cplusplus
extern "C" {
#endif

/** Settings for the calls of one thread or of one layer. */
typedef struct hnorm_context hnorm_context;

/**
 * Creates a context with the defaults. After a failure *context is unchanged.
 *
 * @param context  Receives the context. The caller gives it to hnorm_context_destroy.
 */
hnorm_status hnorm_context_create(hnorm_context **context);
/** Frees a context, which no thread and no layer may use any more. A null context is allowed. */
void hnorm_context_destroy(hnorm_context *context);

/**
 * Makes the calls of this thread use a context.
 *
 * @param context  The context, or null for the settings of the process.
 * @return The context that the thread used before, or null.
 */
hnorm_context *hnorm_use_context(hnorm_context *context);
/**
 * Makes the calls of a layer use a context, whichever the thread uses.
 *
 * @param layer    The layer.
 * @param context  The context, or null for that of the thread.
 */
hnorm_status hnorm_layer_set_context(hnorm_layer *layer, hnorm_context *context);

/* In the functions below a null context means the settings of the process. */

/**
 * Sets the number of threads that a call may use, as hnorm_set_num_threads does.
 *
 * @param context  The context.
 * @param threads  1 to 256, or 0 for the default.
 */
hnorm_status hnorm_context_set_num_threads(hnorm_context *context, int threads);
/** Returns the number of threads that a call may use. */
int hnorm_context_get_num_threads(const hnorm_context *context);
/**
 * Replaces the threads of hnorm by a pool of the caller, as hnorm_set_parallel_for does.
 *
 * openmp.h and tbb.hpp have such loops.
 *
 * @param context       The context.
 * @param parallel_for  The loop, or null to use the threads of hnorm.
 * @param pool          The first argument of each call of parallel_for.
 */
hnorm_status hnorm_context_set_parallel_for(hnorm_context *context, hnorm_parallel_for parallel_for, void *pool);
/**
 * Forces a target, as hnorm_set_target does.
 *
 * @param context  The context.
 * @param name     The target, or null or "" for the default.
 */
hnorm_status hnorm_context_set_target(hnorm_context *context, const char *name);
/** Returns the name of the target, as hnorm_target does. */
const char *hnorm_context_get_target(const hnorm_context *context);

/**
 * Where calls take their working memory on the CPU from.
 *
 * Both functions may run on any thread that computes, and on several at the same time. They must
 * not throw and must not call hnorm. What a call allocates, it frees before it returns. Small calls
 * allocate nothing. The arrays of layers and contexts come from the C++ library.
 */
typedef struct hnorm_allocator {
    /** sizeof(hnorm_allocator). */
    size_t size;
    /** Returns memory of so many bytes, aligned as malloc does, or null if there is none. Then the
     * call returns HNORM_OUT_OF_MEMORY. */
    void *(*allocate)(void *argument, size_t bytes);
    /** Frees memory of `allocate`. The memory is not null. */
    void (*deallocate)(void *argument, void *memory);
    /** The first argument of both. */
    void *argument;
} hnorm_allocator;
/** Makes an allocator of two functions. */
static inline hnorm_allocator hnorm_allocator_of(void *(*allocate)(void *argument, size_t bytes),
                                                 void (*deallocate)(void *argument, void *memory), void *argument) {
    const hnorm_allocator allocator = {sizeof(hnorm_allocator), allocate, deallocate, argument};
    return allocator;
}
/**
 * Sets the allocator of working memory.
 *
 * Without an allocator hnorm uses malloc, and keeps up to 64 MiB for later calls. With an allocator
 * it keeps nothing.
 *
 * @param context    The context.
 * @param allocator  The allocator, which is copied, or null for malloc. Both functions must be
 *                   given.
 */
hnorm_status hnorm_context_set_allocator(hnorm_context *context, const hnorm_allocator *allocator);

#ifdef __cplusplus
}
#endif
#if defined(__GNUC__)
#pragma GCC visibility pop
#endif
#endif
