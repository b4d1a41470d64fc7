/* A C program over the installed library for devices: one batch norm on OpenCL, whose result it knows; CUDA, if only to say why
 * not. */
#include <hnorm/gpu.h>

#include <math.h>
#include <stdio.h>

int main(void) {
    /* As main.c: channel 0 holds -1 and 1, channel 1 holds 3 and 7, y is -1 and 1 in both. */
    const float x[2 * 2] = {-1, 3, 1, 7}, expected[2 * 2] = {-1, -1, 1, 1};
    float y[2 * 2];
    const int64_t shape[2] = {2, 2};
    void *memory = NULL;
    hnorm_tensor in;
    int i;

    printf("C, CUDA: %s\n", hnorm_use_cuda(NULL, NULL) == HNORM_OK ? "there" : hnorm_last_error());
    if (hnorm_use_opencl(NULL, NULL) != HNORM_OK) {
        printf("C, OpenCL: %s\n", hnorm_last_error());
        return 0;
    }
    in = hnorm_channels_first(NULL, 2, shape);
    in.device = HNORM_OPENCL;
    if (hnorm_device_allocate(HNORM_OPENCL, sizeof x, &memory) != HNORM_OK) {
        fprintf(stderr, "%s\n", hnorm_last_error());
        return 1;
    }
    in.data = memory;
    if (hnorm_device_copy_in(HNORM_OPENCL, memory, x, sizeof x) != HNORM_OK ||
        hnorm_forward(&in, HNORM_BATCH, NULL, 0, NULL, &in, NULL, NULL) != HNORM_OK ||
        hnorm_device_copy_out(HNORM_OPENCL, y, memory, sizeof y) != HNORM_OK ||
        hnorm_device_free(HNORM_OPENCL, memory) != HNORM_OK) {
        fprintf(stderr, "%s\n", hnorm_last_error());
        return 1;
    }
    for (i = 0; i < 4; i++) {
        if (!(fabs((double)y[i] - expected[i]) <= 1e-6)) {
            fprintf(stderr, "y[%d] is %g, not %g\n", i, y[i], expected[i]);
            return 1;
        }
    }
    printf("C, OpenCL: right\n");
    return 0;
}
