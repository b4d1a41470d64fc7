// Saving and loading of layers on a device, for programs that do it.
#include "layers.h"

#include <hnorm/state.h>

namespace {

// Calls load() while the layer's arrays lie on the device.
template <typename Load>
hnorm_status on_the_device(hnorm_layer *layer, const Load &load) {
    if (layer) on_device::copy_layer_in(layer);
    const hnorm_status status = load();
    if (layer) on_device::copy_layer_back(layer);
    return status;
}

}  // namespace

extern "C" {

decltype(hnorm_layer_save) __real_hnorm_layer_save;
decltype(hnorm_layer_load) __real_hnorm_layer_load;
decltype(hnorm_layer_load_prefixed) __real_hnorm_layer_load_prefixed;

hnorm_status __wrap_hnorm_layer_save(const hnorm_layer *layer, const char *path) {
    if (layer) on_device::copy_layer_in(const_cast<hnorm_layer *>(layer));
    return __real_hnorm_layer_save(layer, path);
}

hnorm_status __wrap_hnorm_layer_load(hnorm_layer *layer, const char *path) {
    return on_the_device(layer, [&] { return __real_hnorm_layer_load(layer, path); });
}

hnorm_status __wrap_hnorm_layer_load_prefixed(hnorm_layer *layer, const char *path, const char *prefix) {
    return on_the_device(layer, [&] { return __real_hnorm_layer_load_prefixed(layer, path, prefix); });
}

}  // extern "C"
