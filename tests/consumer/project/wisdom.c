/* A program that computes, and says what wisdom it has taken up. */
#include <hnorm/wisdom.h>

#include <stdio.h>

int main(void) {
    float x[24], y[24];
    const int64_t shape[] = {2, 3, 4};
    int i;
    for (i = 0; i < 24; i++) x[i] = (float)i;
    const hnorm_tensor in = hnorm_channels_first(x, 3, shape), out = hnorm_channels_first(y, 3, shape);
    if (hnorm_forward(&in, HNORM_BATCH, NULL, 1e-5, NULL, &out, NULL, NULL) != HNORM_OK) {
        fprintf(stderr, "%s\n", hnorm_last_error());
        return 1;
    }
    for (i = 0; i < hnorm_wisdom_note_count(); i++) puts(hnorm_wisdom_note(i));
    return 0;
}
