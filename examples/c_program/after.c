#include <hnorm/hnorm.h>
#include <stdio.h>

#include "measure.h"

static void batch_norm(float *x, float *y) {
    const int64_t shape[] = {N, C, S};
    const hnorm_tensor in = hnorm_channels_first(x, 3, shape), out = hnorm_channels_first(y, 3, shape);
    if (hnorm_forward(&in, HNORM_BATCH, NULL, kEps, NULL, &out, NULL, NULL) != HNORM_OK) puts(hnorm_last_error());
}

int main(int count, char **arguments) { return measure(batch_norm, count, arguments); }
