// Layers' gradients.
#include <algorithm>
#include <new>

#include "error.h"
#include "gradient_tensors.h"
#include "gradients.h"
#include "layer.h"

using namespace hnorm::detail;

namespace {

// Through the statistics of the batch, which training kept. Evaluation kept nothing: they are the same bits once more.
hnorm_status backward_of_batch(const char *function, const Machine &machine, const hnorm_layer &layer, bool kept,
                               Backward b) {
    b.mean = kept ? layer.record.mean.data() : nullptr;
    b.variance = kept ? layer.record.variance.data() : nullptr;
    if (machine.device) {
        return machine.device->backward(function, b, true);
    }
    Scratch scratch;
    if (!kept) {
        const int64_t groups = b.x.groups(b.group);
        HNORM_TRY(scratch.reserve(function, 2 * groups));
        double *const mean = scratch.data(), *const variance = scratch.data() + groups;
        const Grouping group = {b.group, b.together};
        HNORM_TRY(
            compute_statistics(function, machine, b.x, group, static_cast<double>(group.size(b.x)), mean, variance));
        b.mean = mean;
        b.variance = variance;
    }
    return compute_backward(function, machine, b);
}

// The running statistics are one a channel, so that both norms are the same.
hnorm_status backward_of_constants(const char *function, const Machine &machine, const hnorm_layer &layer, Backward b) {
    b.group = HNORM_BATCH;
    b.mean = layer.running_mean.data();
    b.variance = layer.running_var.data();
    if (machine.device) {
        return machine.device->normalize_backward(function, b, true);
    }
    return compute_normalize_backward(function, machine, b);
}

// hnorm_layer_backward and, where add is not null, hnorm_layer_backward_add.
struct Add {
    const hnorm_tensor *y, *dresidual;
};
hnorm_status backward(const char *function, hnorm_layer *layer, const hnorm_tensor *x, const hnorm_tensor *dy,
                      const hnorm_tensor *dx, const Add *add) {
    if (layer == nullptr) {
        return null_layer(function);
    }
    GradientTensors tensors(x, dy, dx);
    HNORM_TRY(tensors.read(function, true, false));
    const float slope = layer->slope();
    if (add) {
        if (slope != 1 && !add->y) {
            return fail(HNORM_INVALID_ARGUMENT,
                        "%s: y is null: the layer's activation needs it, since a residual was added before it",
                        function);
        }
        HNORM_TRY(tensors.read_residual(function, {"y", add->y, {}}, {"dresidual", add->dresidual, {}}));
    }
    const Planes &in = tensors.x.planes;
    HNORM_TRY(check_layer_device(function, *layer, *x));
    HNORM_TRY(check_features(function, *layer, *x, in));
    const hnorm_affine affine = layer->affine();
    AffineView affine_view;
    HNORM_TRY(read_affine(function, &affine, in, &affine_view, nullptr));
    Machine machine;
    HNORM_TRY(find_machine(function, in.device, &machine, kBackward));
    if (in.empty()) {
        return HNORM_OK;
    }
    LayerRecord::Forward forward;
    HNORM_TRY(layer->record.find(function, *x, in, add != nullptr, &forward));

    // Apart until all has succeeded; devices, where failures show later, add them in place.
    const bool in_place = machine.device != nullptr;
    const size_t parameters = layer->gamma.size();
    std::vector<float> step;
    try {
        step.resize(in_place ? 0 : 2 * parameters);
    } catch (const std::bad_alloc &) {
        return fail(HNORM_OUT_OF_MEMORY, "%s: no memory for %zu gradients", function, 2 * parameters);
    }
    float *const dgamma = parameters == 0 ? nullptr : in_place ? layer->gamma_grad.data() : step.data();
    float *const dbeta = parameters == 0 ? nullptr : in_place ? layer->beta_grad.data() : step.data() + parameters;
    const Backward b = {in,
                        tensors.dy.planes,
                        dx ? &tensors.dx.planes : nullptr,
                        layer->grouping().by,
                        nullptr,
                        nullptr,
                        affine_view,
                        false,
                        layer->options.eps,
                        dgamma,
                        dbeta,
                        slope,
                        layer->grouping().together,
                        add && add->y && slope != 1 ? &tensors.y.planes : nullptr,
                        add && add->dresidual ? &tensors.dresidual.planes : nullptr};
    if (dx && tensors.dx.planes.data == in.data) {
        layer->record.x_overwritten();  // even by a computation that fails
    }
    const bool training = forward == LayerRecord::Forward::kTraining;
    if (training || !layer->tracks()) {
        HNORM_TRY(backward_of_batch(function, machine, *layer, training, b));
    } else {
        HNORM_TRY(backward_of_constants(function, machine, *layer, b));
    }
    for (size_t c = 0; c < step.size() / 2; ++c) {
        layer->gamma_grad.data()[c] += dgamma[c];
        layer->beta_grad.data()[c] += dbeta[c];
    }
    return HNORM_OK;
}

}  // namespace

extern "C" {

hnorm_status hnorm_layer_backward(hnorm_layer *layer, const hnorm_tensor *x, const hnorm_tensor *dy,
                                  const hnorm_tensor *dx) {
    return backward("hnorm_layer_backward", layer, x, dy, dx, nullptr);
}

hnorm_status hnorm_layer_backward_add(hnorm_layer *layer, const hnorm_tensor *x, const hnorm_tensor *y,
                                      const hnorm_tensor *dy, const hnorm_tensor *dx, const hnorm_tensor *dresidual) {
    const Add add = {y, dresidual};
    return backward("hnorm_layer_backward_add", layer, x, dy, dx, &add);
}

}  // extern "C"
