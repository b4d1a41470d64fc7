// Layers: torch.nn.BatchNorm1d, 2d, 3d and InstanceNorm1d, 2d, 3d (pytorch.org, torch.nn), without their gradients.
#include <cinttypes>
#include <new>
#include <vector>

#include "compute.h"
#include "error.h"

using namespace hnorm::detail;

struct hnorm_layer {
    int64_t num_features;
    hnorm_layer_options options;
    bool training;
    std::vector<float> gamma, beta;
    std::vector<double> running_mean, running_var;
    int64_t num_batches_tracked;

    bool tracks() const { return options.track_running_stats != 0; }

    // The affine of this layer's channels.
    hnorm_affine affine() const {
        return options.affine ? hnorm_affine{gamma.data(), beta.data(), 0, 1} : hnorm_affine{nullptr, nullptr, 0, 0};
    }

    void reset_running_stats() {
        running_mean.assign(running_mean.size(), 0.0);
        running_var.assign(running_var.size(), 1.0);
        num_batches_tracked = 0;
    }

    // Takes in one step's statistics, one a group: of an instance norm, the average over the samples.
    void track(const Planes &x, const double *mean, const double *variance) {
        ++num_batches_tracked;
        const double momentum = options.cumulative ? 1.0 / static_cast<double>(num_batches_tracked) : options.momentum;
        const auto count = static_cast<double>(x.group_size(options.group));
        const int64_t samples = options.group == HNORM_BATCH ? 1 : x.n;
        for (int64_t c = 0; c < num_features; ++c) {
            double new_mean = 0, new_variance = 0;
            for (int64_t n = 0; n < samples; ++n) {
                new_mean += mean[n * num_features + c];
                new_variance += variance[n * num_features + c];
            }
            new_mean /= static_cast<double>(samples);
            new_variance = new_variance / static_cast<double>(samples) * (count / (count - 1));  // unbiased
            running_mean[c] = (1 - momentum) * running_mean[c] + momentum * new_mean;
            running_var[c] = (1 - momentum) * running_var[c] + momentum * new_variance;
        }
    }
};

namespace {

// The layer's own mistakes: what its owner wrote where its accessors point.
hnorm_status check_tracked(const char *function, const hnorm_layer &layer) {
    if (layer.num_batches_tracked < 0) {
        return fail(HNORM_INVALID_ARGUMENT, "%s: num_batches_tracked is %" PRId64 ": it must be 0 or more", function,
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
    return HNORM_OK;
}

hnorm_status null_layer(const char *function) {
    return fail(HNORM_INVALID_ARGUMENT, "%s: layer is null: a layer is needed", function);
}

template <typename T>
T *data_or_null(std::vector<T> &values) {
    return values.empty() ? nullptr : values.data();
}

}  // namespace

extern "C" {

hnorm_layer_options hnorm_layer_defaults(hnorm_group group) {
    const int batch = group == HNORM_INSTANCE ? 0 : 1;
    return {group, 1e-5, 0.1, 0, batch, batch};
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
    const char *const function = "hnorm_layer_forward";
    if (layer == nullptr) {
        return null_layer(function);
    }
    Planes in, out;
    HNORM_TRY(read_pair(function, x, y, &in, &out));
    if (in.c != layer->num_features) {
        return fail(HNORM_INVALID_ARGUMENT, "%s: x.shape is %s: axis 1 must be the layer's num_features, %" PRId64,
                    function, ShapeText(*x).text, layer->num_features);
    }
    const hnorm_affine affine = layer->affine();
    AffineView affine_view;
    HNORM_TRY(read_affine(function, &affine, out, &affine_view));
    const hnorm_group group = layer->options.group;
    const bool given_statistics = !layer->training && layer->tracks();
    const bool tracking = layer->training && layer->tracks();
    if (!given_statistics) {
        HNORM_TRY(check_group_size(function, *x, in, group, layer->training ? " in training" : ""));
        HNORM_TRY(check_tracked(function, *layer));
    }
    Machine machine;
    HNORM_TRY(find_machine(function, &machine));
    if (in.empty()) {
        return HNORM_OK;
    }
    if (given_statistics) {
        return compute_normalize(function, machine, in, layer->running_mean.data(), layer->running_var.data(), 0,
                                 affine_view, layer->options.eps, out);
    }
    const int64_t groups = in.groups(group);
    Scratch scratch;
    HNORM_TRY(scratch.reserve(function, 2 * groups));
    double *const mean = scratch.data(), *const variance = scratch.data() + groups;
    HNORM_TRY(compute_forward(function, machine, in, group, affine_view, layer->options.eps, out, mean, variance));
    if (tracking) {
        layer->track(in, mean, variance);
    }
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
double *hnorm_layer_running_mean(hnorm_layer *layer) { return layer ? data_or_null(layer->running_mean) : nullptr; }
double *hnorm_layer_running_var(hnorm_layer *layer) { return layer ? data_or_null(layer->running_var) : nullptr; }
int64_t *hnorm_layer_num_batches_tracked(hnorm_layer *layer) {
    return layer && layer->tracks() ? &layer->num_batches_tracked : nullptr;
}
int64_t hnorm_layer_num_features(const hnorm_layer *layer) { return layer ? layer->num_features : 0; }
int hnorm_layer_is_training(const hnorm_layer *layer) { return layer && layer->training ? 1 : 0; }

}  // extern "C"
