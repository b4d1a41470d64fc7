// Running statistics of a step whose moments were computed elsewhere.
#include <cinttypes>

#include "cpu.h"
#include "error.h"
#include "layer.h"
#include "validate.h"

using namespace hnorm::detail;

extern "C" hnorm_status hnorm_layer_update(hnorm_layer *layer, const double *count, const double *mean,
                                           const double *m2) {
    const char *const function = "hnorm_layer_update";
    if (layer == nullptr) {
        return null_layer(function);
    }
    if (layer->options.group != HNORM_BATCH || !layer->tracks() || layer->device != HNORM_CPU) {
        return fail(HNORM_UNSUPPORTED, "%s: the layer %s: it must be a batch norm on the CPU that tracks them",
                    function,
                    layer->device != HNORM_CPU ? "is on a device" : "has no running statistics of a whole batch");
    }
    const int64_t channels = layer->num_features;
    for (const Array &array :
         {Array("count", count, channels), Array("mean", mean, channels), Array("m2", m2, channels)}) {
        HNORM_TRY(check_array(function, array, HNORM_CPU));
    }
    HNORM_TRY(check_tracked(function, *layer));
    const FloatEnvironment floats;
    for (int64_t c = 0; c < channels; ++c) {
        if (!is_finite_from(2, count[c])) {
            return fail(HNORM_INVALID_ARGUMENT, "%s: count[%" PRId64 "] is %g: it must be finite and 2 or more",
                        function, c, count[c]);
        }
    }
    for (int64_t c = 0; c < channels; ++c) {
        const double variance = m2[c] / count[c];
        Track step = layer->tracked(1, count[c], mean + c, &variance);
        step.channels = 1;
        step.running_mean += c;
        step.running_variance += c;
        HNORM_TRY((Cpu{{function, nullptr, 1, nullptr}}.track(step)));
    }
    ++layer->num_batches_tracked;
    return HNORM_OK;
}
