#define _POSIX_C_SOURCE 199309L
#include "measure.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

// A fixed sequence in [3, 5): a mean that is not 0, as behind a ReLU.
static void fill(float *x) {
    uint32_t seed = 1;
    for (int i = 0; i < N * C * S; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = 3 + (float)(seed >> 8) / 8388608.0f;
    }
}

static double largest_difference(const float *x, const float *y) {
    double largest = 0;
    for (int c = 0; c < C; c++) {
        double mean = 0, variance = 0;
        for (int n = 0; n < N; n++)
            for (int s = 0; s < S; s++) mean += x[(n * C + c) * S + s];
        mean /= N * S;
        for (int n = 0; n < N; n++)
            for (int s = 0; s < S; s++) variance += pow(x[(n * C + c) * S + s] - mean, 2);
        variance /= N * S;
        for (int n = 0; n < N; n++) {
            for (int s = 0; s < S; s++) {
                const int i = (n * C + c) * S + s;
                largest = fmax(largest, fabs(y[i] - (x[i] - mean) / sqrt(variance + kEps)));
            }
        }
    }
    return largest;
}

int measure(void (*batch_norm)(float *x, float *y), int count, char **arguments) {
    const int calls = count > 1 ? atoi(arguments[1]) : 20;
    float *const x = malloc(sizeof(float) * N * C * S), *const y = malloc(sizeof(float) * N * C * S);
    if (!x || !y) return 1;
    fill(x);
    double least = INFINITY;
    for (int i = 0; i < calls; i++) {
        const double start = seconds();
        batch_norm(x, y);
        least = fmin(least, seconds() - start);
    }
    printf("batch norm of (%d, %d, 56, 56): %.1f ms, largest difference %.1e\n", N, C, 1e3 * least,
           largest_difference(x, y));
    free(x);
    free(y);
    return 0;
}
