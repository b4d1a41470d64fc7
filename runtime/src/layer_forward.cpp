// Layers' forward.
#include <cinttypes>

#include "cpu.h"
#include "error.h"
#include "layer.h"
#include "post_ops.h"
#include "validate.h"

using namespace hnorm::detail;

namespace {

// Reads the arguments. `added` keeps the residual. over_ranks: the batch has samples of other
// processes.
hnorm_status read_forward(const char *function, const hnorm_layer &layer, const hnorm_tensor *x,
                          const hnorm_tensor *residual, const hnorm_tensor *y, bool over_ranks, CheckedTensor *added,
                          Forward *forward) {
    CheckedTensor in, out;
    HNORM_TRY(read_pair(function, x, y, &in, &out));
    PostOps post;
    post.slope = layer.slope();
    HNORM_TRY(read_residual(function, {residual, "residual"}, {"x", x, in}, {"y", y, out}, added, &post));
    HNORM_TRY(check_layer_device(function, layer, *x));
    HNORM_TRY(check_features(function, layer, *x, in));
    const hnorm_affine affine = layer.affine();
    AffineView affine_view;
    HNORM_TRY(read_affine(function, &affine, out, &affine_view));
    const Grouping group = layer.grouping();
    if (layer.training || !layer.tracks()) {
        if (!over_ranks) {
            HNORM_TRY(check_group_size(function, *x, in, group, layer.training ? " in training" : ""));
        }
        HNORM_TRY(check_tracked(function, layer));
    }
    *forward = {in, group, affine_view, layer.options.eps, post, out, nullptr, nullptr};
    return HNORM_OK;
}

// hnorm_layer_forward and, where residual is not null, hnorm_layer_forward_add.
hnorm_status forward(const char *function, hnorm_layer *layer, const hnorm_tensor *x, const hnorm_tensor *residual,
                     const hnorm_tensor *y) {
    if (layer == nullptr) {
        return null_layer(function);
    }
    const bool over_ranks = layer->over_ranks && layer->training;
    CheckedTensor added;
    Forward f = {};
    const hnorm_status read = read_forward(function, *layer, x, residual, y, over_ranks, &added, &f);
    if (over_ranks) {  // A rank whose arguments are wrong tells the others.
        return layer->over_ranks->forward(function, read, layer, f, residual != nullptr);
    }
    HNORM_TRY(read);
    Machine machine;
    HNORM_TRY(machine.find(function, *x, layer->context));
    if (f.x.empty()) {
        return HNORM_OK;
    }
    if (layer->tracks() && !layer->training) {
        const Normalization by = {{layer->running_mean.data()}, {layer->running_var.data()}, f.affine, f.eps};
        HNORM_TRY(machine.run(&Device::normalize, compute_normalize<Cpu>, Normalize{f.x, by, f.post, f.y}));
    } else {
        LayerRecord &record = layer->record;
        if (layer->training) {
            HNORM_TRY(record.begin_training(function, f.group.count(f.x)));
            f.mean = record.mean.data();
            f.variance = record.variance.data();
        }
        Track step;
        if (layer->tracks()) {
            const hnorm_group by = f.group.by;
            const auto count = static_cast<double>(f.x.group_size(by));
            step = layer->tracked(by == HNORM_BATCH ? 1 : f.x.n, count, f.mean, f.variance);
            f.track = &step;
        }
        HNORM_TRY(machine.run(&Device::forward, compute_forward<Cpu>, f));
        layer->num_batches_tracked += f.track ? 1 : 0;
    }
    layer->record.end(f.x, f.y, layer->training, residual != nullptr);
    return HNORM_OK;
}

}  // namespace

extern "C" {

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

}  // extern "C"
