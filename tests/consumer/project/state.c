/* A C program over the installed library: a layer's counter and gamma go through a file, which its argument names. */
#include <hnorm/state.h>

#include <stdio.h>

static int right(hnorm_status status) {
    if (status != HNORM_OK) {
        fprintf(stderr, "%s: %s\n", hnorm_status_name(status), hnorm_last_error());
    }
    return status == HNORM_OK;
}

int main(int argc, char **argv) {
    hnorm_layer *saved = NULL, *loaded = NULL;
    int ok = argc == 2 && right(hnorm_layer_create(3, NULL, &saved)) && right(hnorm_layer_create(3, NULL, &loaded));

    if (ok) {
        hnorm_layer_gamma(saved)[1] = 2.5F;
        *hnorm_layer_num_batches_tracked(saved) = 7;
        ok = right(hnorm_layer_save(saved, argv[1])) && right(hnorm_layer_load(loaded, argv[1]));
    }
    ok = ok && hnorm_layer_gamma(loaded)[1] == 2.5F && *hnorm_layer_num_batches_tracked(loaded) == 7;
    hnorm_layer_destroy(saved);
    hnorm_layer_destroy(loaded);
    printf("C, a layer saved and loaded: %s\n", ok ? "right" : "wrong");
    return ok ? 0 : 1;
}
