/**
 * @file
 * Settings of the process: threads, targets and kernel packs. hnorm.h includes this header.
 */
#ifndef HNORM_SETTINGS_H
#define HNORM_SETTINGS_H

#include <hnorm/status.h>

#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif
#ifdef __cplusplus
extern "C" {
#endif

/**
 * Sets the number of threads that a call may use. It never changes a result.
 *
 * The default is the value of the environment variable HNORM_NUM_THREADS. If that is not set, the
 * default is the number of cores that the process may use, by its affinity and by the quota of its
 * control groups. If HNORM_NUM_THREADS is not a number from 1 to 256, every computation on the CPU
 * returns HNORM_INVALID_ARGUMENT, until this function sets a number.
 *
 * @param threads  1 to 256, or 0 for the default.
 */
hnorm_status hnorm_set_num_threads(int threads);
/** Returns the number of threads that a call may use. */
int hnorm_get_num_threads(void);

/** One task of a parallel loop. hnorm gives it to hnorm_parallel_for. */
typedef void (*hnorm_task)(void *argument, int index);
/**
 * A parallel loop of the caller: calls task(argument, i) once for every 0 <= i < count.
 *
 * The order is free. The function must return only after the last task has returned. hnorm asks for
 * no more tasks than threads (hnorm_set_num_threads). It never asks from inside one of its tasks.
 * It asks from several threads at once only if several threads call hnorm.
 *
 * The function must not throw, because tasks may still be running then. If it throws, or returns
 * before all tasks have run, the call of hnorm returns HNORM_INVALID_ARGUMENT.
 */
typedef void (*hnorm_parallel_for)(void *pool, int count, hnorm_task task, void *argument);
/**
 * Replaces the threads of hnorm by a pool of the caller.
 *
 * @param parallel_for  The loop, or null to use the threads of hnorm again.
 * @param pool          The first argument of each call of parallel_for.
 */
hnorm_status hnorm_set_parallel_for(hnorm_parallel_for parallel_for, void *pool);

/**
 * Ends the threads of hnorm, and frees the memory that it keeps for later calls.
 *
 * Each thread first finishes its present work, so other threads may compute meanwhile. Later calls
 * start threads again. A program need not call this function: the end of the process and dlclose do
 * the same.
 */
void hnorm_shutdown(void);

/* A target is a set of CPU instructions that hnorm has kernels for, as "x86-64-avx2" or
 * "x86-64-sse41". The program `hnorm info` prints them. */

/** Returns the number of targets of this library. */
int hnorm_target_count(void);
/** Returns the name of target `index`, best first. It is null if there is no such target. */
const char *hnorm_target_name(int index);
/** Returns why target `index` cannot run on this machine ("CPU lacks avx2", "not compiled into this
 * library"), or null if it can. */
const char *hnorm_target_unusable(int index);
/** Returns which schedule file the kernels of target `index` are made from on this CPU, and why. A
 * target may have several, for some models of CPU each. The text stays valid until the thread's
 * next call of this function. */
const char *hnorm_target_schedule(int index);
/**
 * Returns the name of the target in use.
 *
 * This is the target of hnorm_set_target, else that of the environment variable HNORM_TARGET, else
 * the first that can run. The result is "" if HNORM_TARGET names a target that cannot run here.
 * Then every computation on the CPU fails.
 */
const char *hnorm_target(void);
/**
 * Forces a target. Targets differ in speed, never in results.
 *
 * @param name  The target, or null or "" to restore the choice of hnorm. An unknown name is
 *              HNORM_INVALID_ARGUMENT, a target that cannot run here is HNORM_UNSUPPORTED.
 */
hnorm_status hnorm_set_target(const char *name);

/**
 * Loads a kernel pack: faster kernels for a target of this library, which ./dev tune --pack makes.
 * They go before the kernels of the library in all calls that use this target. A pack changes speed,
 * never results. The pack that is loaded last is the one in use.
 *
 * The function checks that the file is whole, that the pack was made from the sources of this
 * library, and that the CPU has what it needs. A pack is code, and runs with the rights of the
 * program: load only those that you trust.
 *
 * The environment variable HNORM_PACK names a pack that every program loads at its first computation.
 * A program ignores one that does not fit, and hnorm_pack says so.
 *
 * @param path  The file, hnorm-pack-NAME.so. Null or "" gives the library its own kernels back. A
 *              file that cannot be read or is damaged is HNORM_FILE_ERROR. A pack of another build,
 *              or that cannot run here, is HNORM_UNSUPPORTED. Then all stays as it was.
 */
hnorm_status hnorm_load_pack(const char *path);
/** Returns which pack is in use, by the name that its file was first loaded by, or why that of
 * HNORM_PACK is not. Without a pack it is "". The text stays valid. */
const char *hnorm_pack(void);

#ifdef __cplusplus
}
#endif
#if defined(__GNUC__)
#pragma GCC visibility pop
#endif
#endif
