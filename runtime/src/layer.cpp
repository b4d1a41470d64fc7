// Layers: torch.nn.BatchNorm1d, 2d, 3d and InstanceNorm1d, 2d, 3d (pytorch.org, torch.nn); layer_backward.cpp has their
// gradients.
#include "layer.h"

#include <cinttypes>
#include <new>

#include "compute.h"
#include "error.h"
#include "post_ops.h"

using namespace hnorm::detail;

namespace {

// The layer's own mistakes: what its owner wrote where its accessors point.
hnorm_status check_tracked(const char *function, const hnorm_layer &layer) {
    if (layer.num_batches_tracked < 0 || layer.num_batches_tracked == INT64_MAX) {
        return fail(HNORM_INVALID_ARGUMENT,
                    "%s: num_batches_tracked is %" PRId64 ": it must be 0 or more, and able to grow", function,
                    layer.num_batches_tracked);
    }
    return HNORM_OK;
}

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

// hnorm_layer_forward and, where residual is not null, hnorm_layer_forward_add.
hnorm_status forward(const char *function, hnorm_layer *layer, const hnorm_tensor *x, const hnorm_tensor *residual,
                     const hnorm_tensor *y) {
    if (layer == nullptr) {
        return null_layer(function);
    }
    Planes in, out, added;
    HNORM_TRY(read_pair(function, x, y, &in, &out));
    PostOps post;
    post.slope = layer->slope();
    HNORM_TRY(read_residual(function, {residual, "residual"}, {"x", x, in}, {"y", y, out}, &added, &post));
    HNORM_TRY(check_features(function, *layer, *x, in));
    const hnorm_affine affine = layer->affine();
    AffineView affine_view;
    HNORM_TRY(read_affine(function, &affine, out, &affine_view));
    const hnorm_group group = layer->options.group;
    if (layer->training || !layer->tracks()) {
        HNORM_TRY(check_group_size(function, *x, in, group, layer->training ? " in training" : ""));
        HNORM_TRY(check_tracked(function, *layer));
    }
    Machine machine;
    HNORM_TRY(find_machine(function, &machine));
    if (in.empty()) {
        return HNORM_OK;
    }
    const double eps = layer->options.eps;
    const int64_t groups = in.groups(group);
    if (layer->training) {
        LayerRecord &record = layer->record;
        HNORM_TRY(record.begin_training(function, groups));
        HNORM_TRY(compute_forward(function, machine, in, group, affine_view, eps, post, out, record.mean.data(),
                                  record.variance.data()));
        if (layer->tracks()) {
            layer->track(in, record.mean.data(), record.variance.data());
        }
    } else if (layer->tracks()) {
        HNORM_TRY(compute_normalize(function, machine, in, {layer->running_mean.data(), 0, 1},
                                    {layer->running_var.data(), 0, 1}, affine_view, eps, post, out));
    } else {
        Scratch scratch;
        HNORM_TRY(scratch.reserve(function, 2 * groups));
        HNORM_TRY(compute_forward(function, machine, in, group, affine_view, eps, post, out, scratch.data(),
                                  scratch.data() + groups));
    }
    layer->record.end(in, out, layer->training, residual != nullptr);
    return HNORM_OK;
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

hnorm_status hnorm_layer_forward(hnorm_layer *layer, const hnorm_tensor *x, const hnorm_tensor *y) {
    return forward("hnorm_layer_forward", layer, x, nullptr, y);
}

hnorm_status hnorm_layer_forward_add(hnorm_layer *layer, const hnorm_tensor *x, const hnorm_tensor *residual,
                                     const hnorm_tensor *y) {
    const char *const function = "hnorm_layer_forward_add";
    if (residual == nullptr) {
        return fail(HNORM_INVALID_ARGUMENT, "%s: residual is null: a tensor is needed", function);
    }
    return forward(function, layer, x, residual, y);
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
