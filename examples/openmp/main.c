// A program that computes on the threads of OpenMP, and lends them to hnorm.
#include <hnorm/openmp.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 32, C = 64, S = 28 * 28, kSize = N * C * S };

// A loop of the program's own, and batch norm after it.
static hnorm_status step(const float *input, float *x, float *y) {
#pragma omp parallel for
    for (int i = 0; i < kSize; i++) x[i] = 0.5f * input[i] + 3;
    const int64_t shape[] = {N, C, S};
    const hnorm_tensor in = hnorm_channels_first(x, 3, shape), out = hnorm_channels_first(y, 3, shape);
    return hnorm_forward(&in, HNORM_BATCH, NULL, 1e-5, NULL, &out, NULL, NULL);
}

static int threads_of_process(void) {
    int threads = 0;
    char line[256];
    FILE *const status = fopen("/proc/self/status", "r");
    if (!status) return -1;
    while (fgets(line, sizeof line, status))
        if (sscanf(line, "Threads: %d", &threads) == 1) break;
    fclose(status);
    return threads;
}

// Twenty steps; the least time of one.
static int run(const char *whose, const float *input, float *x, float *y) {
    double least = 1e9;
    for (int i = 0; i < 20; i++) {
        const double start = omp_get_wtime();
        if (step(input, x, y) != HNORM_OK) {
            fprintf(stderr, "%s\n", hnorm_last_error());
            return 1;
        }
        const double time = omp_get_wtime() - start;
        if (time < least) least = time;
    }
    printf("hnorm on %s threads: %.2f ms, and the process has %d threads\n", whose, 1e3 * least, threads_of_process());
    return 0;
}

int main(void) {
    float *const input = malloc(sizeof(float) * kSize), *const x = malloc(sizeof(float) * kSize);
    float *const y = malloc(sizeof(float) * kSize), *const y_own = malloc(sizeof(float) * kSize);
    if (!input || !x || !y || !y_own) return 1;
    for (int i = 0; i < kSize; i++) input[i] = (float)rand() / (float)RAND_MAX;
    omp_set_num_threads(4);

    // All that it takes.
    hnorm_set_num_threads(omp_get_max_threads());
    hnorm_set_parallel_for(hnorm_openmp_parallel_for, NULL);
    int failed = run("OpenMP's", input, x, y);

    hnorm_set_parallel_for(NULL, NULL);
    failed |= run("its own", input, x, y_own);

    const int same = memcmp(y, y_own, sizeof(float) * kSize) == 0;
    puts(same ? "the results have the same bits" : "the results differ");
    free(input), free(x), free(y), free(y_own);
    return failed || !same;
}
