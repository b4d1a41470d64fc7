/**
 * @file
 * Runs hnorm on the threads of OpenMP, for programs that compute on them already.
 *
 * Otherwise such a program has two sets of threads, and the waiting threads of one slow down the
 * other. Compile what includes this header with OpenMP (-fopenmp). The library itself does not need
 * OpenMP.
 *
 * @code{.c}
 * hnorm_set_num_threads(omp_get_max_threads());
 * hnorm_set_parallel_for(hnorm_openmp_parallel_for, NULL);
 * @endcode
 */
#ifndef HNORM_OPENMP_H
#define HNORM_OPENMP_H

#include <hnorm/hnorm.h>

#ifndef _OPENMP
#error "hnorm/openmp.h needs OpenMP: compile with -fopenmp"
#endif

/**
 * A parallel loop for hnorm_set_parallel_for, on the threads of OpenMP.
 *
 * Inside a parallel region of the program, OpenMP gives an inner region one thread. There a call of
 * hnorm runs on its own thread, unless omp_set_max_active_levels allows more. The results have the
 * same bits.
 *
 * @param pool      Not used. Give null.
 * @param count     The number of tasks.
 * @param task      The task.
 * @param argument  The first argument of the task.
 */
static inline void hnorm_openmp_parallel_for(void *pool, int count, hnorm_task task, void *argument) {
    (void)pool;
    /* Task i runs on thread i each time, near the memory that it touched before. */
#pragma omp parallel for schedule(static, 1)
    for (int i = 0; i < count; ++i) {
        task(argument, i);
    }
}

#endif /* HNORM_OPENMP_H */
