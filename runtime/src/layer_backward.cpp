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
// Reads the arguments of a backward of the layer's latest forward, and finds its statistics.
// over_ranks: as in LayerOverRanks.
hnorm_status read_backward(const char *function, hnorm_layer *layer, const Add *add, bool over_ranks,
                           GradientTensors *its_tensors, Backward *b, bool *constants) {
    HNORM_TRY(its_tensors->read(function, true, false));
    const float slope = layer->slope();
    if (add) {
        if (slope != 1 && !add->y) {
            return fail(HNORM_INVALID_ARGUMENT,
                        "%s: y is null: the layer's activation needs it, since a residual was added before it",
                        function);
        }
        HNORM_TRY(its_tensors->read_residual(function, {"y", add->y, {}}, {"dresidual", add->dresidual, {}}));
    }
    const GradientTensors &tensors = *its_tensors;
    const CheckedTensor &in = tensors.x.planes;
    const hnorm_tensor &x = *tensors.x.tensor;
    HNORM_TRY(check_layer_device(function, *layer, x));
    HNORM_TRY(check_features(function, *layer, x, in));
    const hnorm_affine affine = layer->affine();
    AffineView affine_view;
    HNORM_TRY(read_affine(function, &affine, in, &affine_view, nullptr));
    b->x = in;
    b->dy = tensors.dy.planes;
    if (in.empty() && !over_ranks) {
        return HNORM_OK;
    }
    LayerRecord::Forward forward;
    HNORM_TRY(layer->record.find(function, x, in, add != nullptr, &forward));

    const bool training = forward == LayerRecord::Forward::kTraining;
    b->dx = tensors.dx.tensor ? &tensors.dx.planes : nullptr;
    b->group = layer->grouping();
    b->by = {{}, {}, affine_view, layer->options.eps};
    b->dgamma = layer->options.affine ? layer->gamma_grad.data() : nullptr;
    b->dbeta = layer->options.affine ? layer->beta_grad.data() : nullptr;
    b->add = true;
    b->slope = slope;
    b->y = add && add->y && slope != 1 ? &tensors.y.planes : nullptr;
    b->dresidual = add && add->dresidual ? &tensors.dresidual.planes : nullptr;
    *constants = layer->tracks() && !training;
    if (*constants) {
        b->group = {};  // The running statistics are one a channel, so that both norms are the same.
        b->by.mean = {layer->running_mean.data()};
        b->by.variance = {layer->running_var.data()};
    } else if (training) {  // Evaluation kept no statistics: they are computed again, with the same bits.
        b->by.mean = group_values<double>(layer->record.mean.data(), in, b->group);
        b->by.variance = group_values<double>(layer->record.variance.data(), in, b->group);
    }
    return HNORM_OK;
}

hnorm_status backward(const char *function, hnorm_layer *layer, const hnorm_tensor *x, const hnorm_tensor *dy,
                      const hnorm_tensor *dx, const Add *add) {
    if (layer == nullptr) {
        return null_layer(function);
    }
    const bool over_ranks = layer->over_ranks && layer->record.is_over_ranks();
    GradientTensors tensors(x, dy, dx);
    Backward b = {};
    bool constants = false;
    const hnorm_status read = read_backward(function, layer, add, over_ranks, &tensors, &b, &constants);
    const auto note_overwriting = [&] {
        if (b.dx && b.dx->data == b.x.data && !b.x.empty()) {
            layer->record.x_overwritten();  // even by a computation that fails
        }
    };
    if (over_ranks) {  // A rank whose arguments are wrong tells the others.
        const hnorm_status status = layer->over_ranks->backward(function, read, layer, b);
        note_overwriting();
        return status;
    }
    HNORM_TRY(read);
    Machine machine;
    HNORM_TRY(machine.find(function, *x, layer->context));
    if (b.x.empty()) {
        return HNORM_OK;
    }
    note_overwriting();
    return constants ? machine.run(&Device::normalize_backward, compute_normalize_backward<Cpu>, b)
                     : machine.run(&Device::backward, compute_backward_of_batch<Cpu>, b);
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
