/* A C program over the installed library: one batch norm, whose result it knows. */
#include <hnorm/hnorm.h>

#include <math.h>
#include <stdio.h>

int main(void) {
    /* Channel 0 holds -1 and 1, channel 1 holds 3 and 7: means 0 and 5, variances 1 and 4, y is -1 and 1 in both. */
    float x[2 * 2] = {-1, 3, 1, 7};
    float y[2 * 2] = {0};
    const float expected[2 * 2] = {-1, -1, 1, 1};
    const int64_t shape[2] = {2, 2};
    double mean[2], variance[2];
    const hnorm_tensor in = hnorm_channels_first(x, 2, shape);
    const hnorm_tensor out = hnorm_channels_first(y, 2, shape);
    int i;

    if (hnorm_forward(&in, HNORM_BATCH, NULL, 0, NULL, &out, mean, variance) != HNORM_OK) {
        fprintf(stderr, "hnorm_forward: %s\n", hnorm_last_error());
        return 1;
    }
    for (i = 0; i < 4; i++) {
        if (!(fabs((double)y[i] - expected[i]) <= 1e-6)) {
            fprintf(stderr, "y[%d] is %g, not %g\n", i, y[i], expected[i]);
            return 1;
        }
    }
    if (mean[0] != 0 || mean[1] != 5 || variance[0] != 1 || variance[1] != 4) {
        fprintf(stderr, "means %g, %g and variances %g, %g\n", mean[0], mean[1], variance[0], variance[1]);
        return 1;
    }
    printf("C, hnorm %s, %s: right\n", hnorm_version(), hnorm_target());
    return 0;
}
