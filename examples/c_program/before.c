#include <math.h>

#include "measure.h"

static void batch_norm(float *x, float *y) {
    for (int c = 0; c < C; c++) {
        float sum = 0, squares = 0;
        for (int n = 0; n < N; n++)
            for (int s = 0; s < S; s++) sum += x[(n * C + c) * S + s];
        const float mean = sum / (N * S);
        for (int n = 0; n < N; n++) {
            for (int s = 0; s < S; s++) {
                const float d = x[(n * C + c) * S + s] - mean;
                squares += d * d;
            }
        }
        const float scale = 1 / sqrtf(squares / (N * S) + (float)kEps);
        for (int n = 0; n < N; n++)
            for (int s = 0; s < S; s++) y[(n * C + c) * S + s] = (x[(n * C + c) * S + s] - mean) * scale;
    }
}

int main(int count, char **arguments) { return measure(batch_norm, count, arguments); }
