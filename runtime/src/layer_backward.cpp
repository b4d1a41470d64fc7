// Layers' gradients.
#include "cpu.h"
#include "error.h"
#include "gradient_tensors.h"
#include "layer.h"
#include "validate.h"

using namespace hnorm::detail;

namespace {

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
    HNORM_TRY(machine.find(function, in.device, layer->context));
    if (in.empty()) {
        return HNORM_OK;
    }
    LayerRecord::Forward forward;
    HNORM_TRY(layer->record.find(function, *x, in, add != nullptr, &forward));

    const bool training = forward == LayerRecord::Forward::kTraining;
    Backward b = {};
    b.x = in;
    b.dy = tensors.dy.planes;
    b.dx = dx ? &tensors.dx.planes : nullptr;
    b.group = layer->grouping();
    b.by = {{}, {}, affine_view, layer->options.eps};
    b.dgamma = layer->options.affine ? layer->gamma_grad.data() : nullptr;
    b.dbeta = layer->options.affine ? layer->beta_grad.data() : nullptr;
    b.add = true;
    b.slope = slope;
    b.y = add && add->y && slope != 1 ? &tensors.y.planes : nullptr;
    b.dresidual = add && add->dresidual ? &tensors.dresidual.planes : nullptr;
    if (dx && tensors.dx.planes.data == in.data) {
        layer->record.x_overwritten();  // even by a computation that fails
    }
    if (layer->tracks() && !training) {
        b.group = {};  // The running statistics are one a channel, so that both norms are the same.
        b.by.mean = {layer->running_mean.data()};
        b.by.variance = {layer->running_var.data()};
        return machine.run(&Device::normalize_backward, compute_normalize_backward<Cpu>, b);
    }
    if (training) {  // Evaluation kept no statistics: they are computed again, with the same bits.
        b.by.mean = group_values<double>(layer->record.mean.data(), in, b.group);
        b.by.variance = group_values<double>(layer->record.variance.data(), in, b.group);
    }
    return machine.run(&Device::backward, compute_backward_of_batch<Cpu>, b);
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
