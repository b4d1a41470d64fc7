#include "plugin.h"

namespace {

hnorm_status forward(float *data, int rank, const int64_t *shape) {
    const hnorm_tensor x = hnorm_channels_first(data, rank, shape);
    return hnorm_forward(&x, HNORM_BATCH, nullptr, 1e-5, nullptr, &x, nullptr, nullptr);
}

}  // namespace

extern "C" __attribute__((visibility("default"))) const PluginFunctions plugin_functions;
const PluginFunctions plugin_functions = {hnorm_set_num_threads, hnorm_set_parallel_for, forward};
