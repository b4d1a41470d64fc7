#include "layer_copies.h"

#include "device.h"
#include "error.h"
#include "layer.h"

namespace hnorm::detail {

hnorm_status copy_from_layer(const char *function, const hnorm_layer &layer, LayerArray array, void *to) {
    HNORM_TRY(check_device(function, "layer", layer.device));
    switch (array) {
    case LayerArray::kGamma: return layer.gamma.copy_out(function, static_cast<float *>(to));
    case LayerArray::kBeta: return layer.beta.copy_out(function, static_cast<float *>(to));
    case LayerArray::kRunningMean: return layer.running_mean.copy_out(function, static_cast<double *>(to));
    case LayerArray::kRunningVar: return layer.running_var.copy_out(function, static_cast<double *>(to));
    case LayerArray::kNumBatchesTracked: *static_cast<int64_t *>(to) = layer.num_batches_tracked;
    }
    return HNORM_OK;
}

hnorm_status copy_to_layer(const char *function, hnorm_layer *layer, LayerArray array, const void *from) {
    HNORM_TRY(check_device(function, "layer", layer->device));
    switch (array) {
    case LayerArray::kGamma: return layer->gamma.copy_in(function, static_cast<const float *>(from));
    case LayerArray::kBeta: return layer->beta.copy_in(function, static_cast<const float *>(from));
    case LayerArray::kRunningMean: return layer->running_mean.copy_in(function, static_cast<const double *>(from));
    case LayerArray::kRunningVar: return layer->running_var.copy_in(function, static_cast<const double *>(from));
    case LayerArray::kNumBatchesTracked: layer->num_batches_tracked = *static_cast<const int64_t *>(from);
    }
    return HNORM_OK;
}

}  // namespace hnorm::detail
