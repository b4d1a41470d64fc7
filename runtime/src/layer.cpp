// Layers: torch.nn.BatchNorm1d, 2d, 3d and InstanceNorm1d, 2d, 3d (pytorch.org, torch.nn).
// layer_forward.cpp and layer_backward.cpp compute.
#include "layer.h"

#include <cinttypes>
#include <cmath>
#include <new>

#include "error.h"
#include "given.h"
#include "validate.h"

using namespace hnorm::detail;

namespace {

hnorm_status check_options(const char *function, int64_t num_features, const hnorm_layer_options &options) {
    Grouping grouping;
    HNORM_TRY(read_group(function, "options.group", options.group, num_features, &grouping));
    if (groups_of_sample(options.group) >= 1 && options.track_running_stats) {
        return fail(HNORM_INVALID_ARGUMENT,
                    "%s: options.track_running_stats is %d: it must be 0 for hnorm_groups, which have no running "
                    "statistics",
                    function, options.track_running_stats);
    }
    HNORM_TRY(check_eps(function, "options.eps", options.eps));
    if (!options.cumulative &&
        !(std::isgreaterequal(options.momentum, 0.0) && std::islessequal(options.momentum, 1.0))) {
        return fail(HNORM_INVALID_ARGUMENT, "%s: options.momentum is %g: it must lie in [0, 1]", function,
                    options.momentum);
    }
    float slope;
    HNORM_TRY(read_activation(function, "options.", options.activation, options.negative_slope, &slope));
    if (options.cumulative && options.onnx_running_stats) {
        return fail(HNORM_INVALID_ARGUMENT,
                    "%s: options.cumulative and options.onnx_running_stats are both nonzero: ONNX has no cumulative "
                    "average, one of them must be 0",
                    function);
    }
    return HNORM_OK;
}

template <typename T>
T *data_or_null(LayerValues<T> &values) {
    return values.empty() ? nullptr : values.data();
}

// Copies of all of the layer's arrays on another device, and then these for the layer's own: a
// failure changes nothing.
hnorm_status move(const char *function, hnorm_layer *layer, const Storage &to) {
    LayerValues<float> *const floats[] = {&layer->gamma, &layer->beta, &layer->gamma_grad, &layer->beta_grad};
    LayerValues<double> *const doubles[] = {&layer->running_mean, &layer->running_var};
    LayerValues<float> moved_floats[4];
    LayerValues<double> moved_doubles[2];
    for (int i = 0; i < 4; ++i) {
        HNORM_TRY(floats[i]->copy_to(function, to, &moved_floats[i]));
    }
    for (int i = 0; i < 2; ++i) {
        HNORM_TRY(doubles[i]->copy_to(function, to, &moved_doubles[i]));
    }
    layer->record.move_to(to);
    for (int i = 0; i < 4; ++i) {
        floats[i]->swap(moved_floats[i]);
    }
    for (int i = 0; i < 2; ++i) {
        doubles[i]->swap(moved_doubles[i]);
    }
    return HNORM_OK;
}

}  // namespace

namespace hnorm::detail {

hnorm_status null_layer(const char *function) {
    return fail(HNORM_INVALID_ARGUMENT, "%s: layer is null: a layer is needed", function);
}

hnorm_status check_layer_device(const char *function, const hnorm_layer &layer, const hnorm_tensor &x) {
    if (x.device != layer.device) {
        return fail(HNORM_INVALID_ARGUMENT, "%s: x.device is %s but the layer is on %s: hnorm_layer_to moves it",
                    function, device_name(x.device), device_name(layer.device));
    }
    return HNORM_OK;
}

hnorm_status check_features(const char *function, const hnorm_layer &layer, const hnorm_tensor &x,
                            const CheckedTensor &planes) {
    if (planes.c != layer.num_features) {
        return fail(HNORM_INVALID_ARGUMENT, "%s: x.shape is %s: axis 1 must be the layer's num_features, %" PRId64,
                    function, ShapeText(x).text, layer.num_features);
    }
    return HNORM_OK;
}

hnorm_status check_tracked(const char *function, const hnorm_layer &layer) {
    if (layer.num_batches_tracked < 0 || layer.num_batches_tracked == INT64_MAX) {
        return fail(HNORM_INVALID_ARGUMENT,
                    "%s: num_batches_tracked is %" PRId64 ": it must be 0 or more, and able to grow", function,
                    layer.num_batches_tracked);
    }
    return HNORM_OK;
}

}  // namespace hnorm::detail

extern "C" {

hnorm_status hnorm_layer_create(int64_t num_features, const hnorm_layer_options *options, hnorm_layer **layer) {
    const char *const function = "hnorm_layer_create";
    if (layer == nullptr) {
        return fail(HNORM_INVALID_ARGUMENT, "%s: layer is null: it must point to where the layer goes", function);
    }
    if (num_features < 1) {
        return fail(HNORM_INVALID_ARGUMENT, "%s: num_features is %" PRId64 ": it must be 1 or more", function,
                    num_features);
    }
    if (num_features > kMaxExtent) {
        return fail(HNORM_UNSUPPORTED, "%s: num_features is %" PRId64 ": more than %" PRId64 " are not supported",
                    function, num_features, kMaxExtent);
    }
    hnorm_layer_options chosen = hnorm_layer_defaults(HNORM_BATCH);
    if (options) {
        HNORM_TRY(read_given(function, "options", *options, &chosen));
    }
    HNORM_TRY(check_options(function, num_features, chosen));
    try {
        *layer = new hnorm_layer(num_features, chosen);
    } catch (const std::bad_alloc &) {
        return fail(HNORM_OUT_OF_MEMORY, "%s: no memory for a layer of %" PRId64 " features", function, num_features);
    }
    return HNORM_OK;
}

void hnorm_layer_destroy(hnorm_layer *layer) { delete layer; }

hnorm_status hnorm_layer_train(hnorm_layer *layer, int training) {
    if (layer == nullptr) {
        return null_layer("hnorm_layer_train");
    }
    layer->training = training != 0;
    return HNORM_OK;
}

hnorm_status hnorm_layer_set_context(hnorm_layer *layer, hnorm_context *context) {
    if (layer == nullptr) {
        return null_layer("hnorm_layer_set_context");
    }
    layer->context = context;
    return HNORM_OK;
}

hnorm_status hnorm_layer_zero_grad(hnorm_layer *layer) {
    const char *const function = "hnorm_layer_zero_grad";
    if (layer == nullptr) {
        return null_layer(function);
    }
    HNORM_TRY(check_device(function, "layer", layer->device));
    HNORM_TRY(layer->gamma_grad.fill(function, 0));
    return layer->beta_grad.fill(function, 0);
}

hnorm_status hnorm_layer_reset_running_stats(hnorm_layer *layer) {
    const char *const function = "hnorm_layer_reset_running_stats";
    if (layer == nullptr) {
        return null_layer(function);
    }
    HNORM_TRY(check_device(function, "layer", layer->device));
    HNORM_TRY(layer->running_mean.fill(function, 0));
    HNORM_TRY(layer->running_var.fill(function, 1));
    layer->num_batches_tracked = 0;
    return HNORM_OK;
}

hnorm_status hnorm_layer_to(hnorm_layer *layer, hnorm_device device) {
    const char *const function = "hnorm_layer_to";
    if (layer == nullptr) {
        return null_layer(function);
    }
    HNORM_TRY(check_device(function, "layer", layer->device));
    HNORM_TRY(check_device(function, "layer", device));
    HNORM_TRY(move(function, layer, storage_of_thread(device)));
    layer->device = device;
    return HNORM_OK;
}

float *hnorm_layer_gamma(hnorm_layer *layer) { return layer ? data_or_null(layer->gamma) : nullptr; }
float *hnorm_layer_beta(hnorm_layer *layer) { return layer ? data_or_null(layer->beta) : nullptr; }
float *hnorm_layer_gamma_grad(hnorm_layer *layer) { return layer ? data_or_null(layer->gamma_grad) : nullptr; }
float *hnorm_layer_beta_grad(hnorm_layer *layer) { return layer ? data_or_null(layer->beta_grad) : nullptr; }
double *hnorm_layer_running_mean(hnorm_layer *layer) { return layer ? data_or_null(layer->running_mean) : nullptr; }
double *hnorm_layer_running_var(hnorm_layer *layer) { return layer ? data_or_null(layer->running_var) : nullptr; }
int64_t *hnorm_layer_num_batches_tracked(hnorm_layer *layer) {
    return layer && layer->tracks() ? &layer->num_batches_tracked : nullptr;
}
int64_t hnorm_layer_num_features(const hnorm_layer *layer) { return layer ? layer->num_features : 0; }
hnorm_device hnorm_layer_device(const hnorm_layer *layer) { return layer ? layer->device : HNORM_CPU; }
int hnorm_layer_is_training(const hnorm_layer *layer) { return layer && layer->training ? 1 : 0; }

}  // extern "C"
