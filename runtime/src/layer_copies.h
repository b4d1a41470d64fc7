// The arrays of a layer's state to and from the CPU, wherever they lie: for the library that saves
// and loads layers.
#pragma once

#include <hnorm/hnorm.h>

namespace hnorm::detail {

enum class LayerArray { kGamma, kBeta, kRunningMean, kRunningVar, kNumBatchesTracked };

// All values of an array that the layer has.
hnorm_status copy_from_layer(const char *function, const hnorm_layer &layer, LayerArray array, void *to);
hnorm_status copy_to_layer(const char *function, hnorm_layer *layer, LayerArray array, const void *from);

}  // namespace hnorm::detail
