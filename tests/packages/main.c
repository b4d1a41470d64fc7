/* examples/cmake_project/main.cpp in C11. */
#include <hnorm/hnorm.h>

#include <stdio.h>

int main(void) {
    float picture[] = {1, 2, 3, 4, 50, 60, 70, 80};
    const int64_t shape[] = {1, 2, 2, 2};
    const hnorm_tensor x = hnorm_channels_first(picture, 4, shape);
    int i;

    if (hnorm_forward(&x, HNORM_INSTANCE, NULL, 1e-5, NULL, &x, NULL, NULL) != HNORM_OK) {
        fprintf(stderr, "%s\n", hnorm_last_error());
        return 1;
    }
    for (i = 0; i < 8; i++) printf("%.2f ", picture[i]);
    printf("\n");
    return 0;
}
