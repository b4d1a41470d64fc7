// Layers: torch.nn.BatchNorm1d, 2d, 3d and InstanceNorm1d, 2d, 3d (pytorch.org, torch.nn). layer_forward.cpp and
// layer_backward.cpp compute.
#include "layer.h"

#include <algorithm>
#include <cinttypes>
#include <new>

#include "error.h"
#include "validate.h"

using namespace hnorm::detail;

namespace {

hnorm_status check_options(const char *function, const hnorm_layer_options &options) {
    if (options.group != HNORM_BATCH && options.group != HNORM_INSTANCE) {
        return fail(HNORM_INVALID_ARGUMENT, "%s: options.group is %d: it must be HNORM_BATCH (0) or HNORM_INSTANCE (1)",
                    function, static_cast<int>(options.group));
    }
    HNORM_TRY(check_eps(function, "options.eps", options.eps));
    if (!options.cumulative && !(options.momentum >= 0 && options.momentum <= 1)) {
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
T *data_or_null(std::vector<T> &values) {
    return values.empty() ? nullptr : values.data();
}

}  // namespace

namespace hnorm::detail {

hnorm_status null_layer(const char *function) {
    return fail(HNORM_INVALID_ARGUMENT, "%s: layer is null: a layer is needed", function);
}

hnorm_status check_features(const char *function, const hnorm_layer &layer, const hnorm_tensor &x,
                            const Planes &planes) {
    if (planes.c != layer.num_features) {
        return fail(HNORM_INVALID_ARGUMENT, "%s: x.shape is %s: axis 1 must be the layer's num_features, %" PRId64,
                    function, ShapeText(x).text, layer.num_features);
    }
    return HNORM_OK;
}

}  // namespace hnorm::detail

extern "C" {

hnorm_layer_options hnorm_layer_defaults(hnorm_group group) {
    const int batch = group == HNORM_INSTANCE ? 0 : 1;
    return {group, 1e-5, 0.1, 0, batch, batch, 0, HNORM_NO_ACTIVATION, 0.01F};
}

hnorm_status hnorm_layer_create(int64_t num_features, const hnorm_layer_options *options, hnorm_layer **layer) {
    const char *const function = "hnorm_layer_create";
    if (layer == nullptr) {
        return fail(HNORM_INVALID_ARGUMENT, "%s: layer is null: it must point to where the layer goes", function);
    }
    if (num_features < 1) {
        return fail(HNORM_INVALID_ARGUMENT, "%s: num_features is %" PRId64 ": it must be 1 or more", function,
                    num_features);
    }
    if (num_features > kMaxElements) {
        return fail(HNORM_UNSUPPORTED, "%s: num_features is %" PRId64 ": more than %" PRId64 " are not supported",
                    function, num_features, kMaxElements);
    }
    const hnorm_layer_options chosen = options ? *options : hnorm_layer_defaults(HNORM_BATCH);
    HNORM_TRY(check_options(function, chosen));
    try {
        const auto size = static_cast<size_t>(num_features);
        const size_t affine = chosen.affine ? size : 0, tracked = chosen.track_running_stats ? size : 0;
        *layer = new hnorm_layer{num_features,
                                 chosen,
                                 true,
                                 std::vector<float>(affine, 1.0F),
                                 std::vector<float>(affine, 0.0F),
                                 std::vector<float>(affine, 0.0F),
                                 std::vector<float>(affine, 0.0F),
                                 std::vector<double>(tracked, 0.0),
                                 std::vector<double>(tracked, 1.0),
                                 0};
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

hnorm_status hnorm_layer_zero_grad(hnorm_layer *layer) {
    if (layer == nullptr) {
        return null_layer("hnorm_layer_zero_grad");
    }
    std::fill(layer->gamma_grad.begin(), layer->gamma_grad.end(), 0.0F);
    std::fill(layer->beta_grad.begin(), layer->beta_grad.end(), 0.0F);
    return HNORM_OK;
}

hnorm_status hnorm_layer_reset_running_stats(hnorm_layer *layer) {
    if (layer == nullptr) {
        return null_layer("hnorm_layer_reset_running_stats");
    }
    layer->reset_running_stats();
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
int hnorm_layer_is_training(const hnorm_layer *layer) { return layer && layer->training ? 1 : 0; }

}  // extern "C"
