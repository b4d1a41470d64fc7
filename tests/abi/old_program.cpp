// Uses every structure of the C interface, through the C++ interface. argv[1]: the folder of the
// library that must be in use.
#include <hnorm/hnorm.hpp>

#include <dlfcn.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <vector>

int main(int count, char **arguments) {
    Dl_info info;
    if (count != 2 || dladdr(reinterpret_cast<void *>(&hnorm_version), &info) == 0 ||
        std::strncmp(info.dli_fname, arguments[1], std::strlen(arguments[1])) != 0) {
        std::fprintf(stderr, "the library in use is %s\n", count == 2 ? info.dli_fname : "not known");
        return 1;
    }
    std::vector<float> values = {1, 2, 3, 6, 5, 4}, result(6), gradient = {1, 0, 0, 0, 0, 0};
    const hnorm::Tensor x = hnorm::ncl(values.data(), {1, 2, 3}), y = hnorm::ncl(result.data(), {1, 2, 3});
    const hnorm::Tensor dy = hnorm::ncl(gradient.data(), {1, 2, 3});
    // The memory behind the options is not 0: a library that read a field there would refuse or use
    // it.
    struct {
        hnorm_layer_options options;
        unsigned char behind[64];
    } given = {hnorm_layer_defaults(HNORM_BATCH), {}};
    std::memset(given.behind, 0xa5, sizeof given.behind);
    given.options.activation = HNORM_LEAKY_RELU;
    hnorm_layer *layer = nullptr;
    if (hnorm_layer_create(2, &given.options, &layer) != HNORM_OK ||
        hnorm_layer_forward(layer, x.c(), y.c()) != HNORM_OK ||
        hnorm_layer_backward(layer, x.c(), dy.c(), dy.c()) != HNORM_OK) {
        std::fprintf(stderr, "%s\n", hnorm_last_error());
        return 1;
    }
    hnorm_layer_destroy(layer);
    const double deviation = std::sqrt(2.0 / 3 + 1e-5);
    const double expected[] = {-0.01 / deviation, 0, 1 / deviation, 1 / deviation, 0, -0.01 / deviation};
    for (int i = 0; i < 6; i++) {
        if (!(std::fabs(result[static_cast<size_t>(i)] - expected[i]) < 1e-6)) {
            std::fprintf(stderr, "y[%d] is %g and not %g\n", i, result[static_cast<size_t>(i)], expected[i]);
            return 1;
        }
    }
    hnorm::normalize(x, hnorm::Group::batch, std::vector<double>{2, 5}, std::vector<double>{1, 1}, {}, 0, y,
                     hnorm::PostOps().residual(x).relu());
    return result[0] == 0 && result[5] == 3 ? 0 : 1;
}
