// Layers' gradients, and what forward leaves for them.
#include <algorithm>
#include <cinttypes>
#include <new>

#include "error.h"
#include "gradient_tensors.h"
#include "gradients.h"
#include "layer.h"

using namespace hnorm::detail;

namespace hnorm::detail {

namespace {

constexpr uint64_t kRecordedBit = 1, kTrainingBit = 2, kOverwrittenBit = 4, kResidualBit = 8, kBits = 15;

// Different for different places, shapes and strides, but for an accident in 2^60.
uint64_t fingerprint(const Planes &x) {
    uint64_t hash = reinterpret_cast<uintptr_t>(x.data);
    for (const int64_t value : {x.n, x.c, x.s, x.stride_n, x.stride_c, x.stride_s, static_cast<int64_t>(x.type),
                                static_cast<int64_t>(x.layout)}) {
        hash = (hash ^ static_cast<uint64_t>(value)) * 0x9e3779b97f4a7c15;
        hash ^= hash >> 29;
    }
    return hash & ~kBits;
}

}  // namespace

hnorm_status LayerRecord::begin_training(const char *function, int64_t groups) {
    latest_.store(0, std::memory_order_relaxed);
    try {
        mean.resize(static_cast<size_t>(groups));
        variance.resize(static_cast<size_t>(groups));
    } catch (const std::bad_alloc &) {
        return fail(HNORM_OUT_OF_MEMORY, "%s: no memory for %" PRId64 " statistics", function, 2 * groups);
    }
    return HNORM_OK;
}

void LayerRecord::end(const Planes &x, const Planes &y, bool training, bool residual) {
    const uint64_t word = fingerprint(x) | kRecordedBit | (training ? kTrainingBit : 0) |
                          (y.data == x.data ? kOverwrittenBit : 0) | (residual ? kResidualBit : 0);
    // Threads that evaluate the same x again and again do not take the word from each other's caches.
    if (latest_.load(std::memory_order_relaxed) != word) {
        latest_.store(word, std::memory_order_relaxed);
    }
}

void LayerRecord::x_overwritten() { latest_.fetch_or(kOverwrittenBit, std::memory_order_relaxed); }

hnorm_status LayerRecord::find(const char *function, const hnorm_tensor &x, const Planes &planes, bool residual,
                               Forward *forward) const {
    const uint64_t word = latest_.load(std::memory_order_relaxed);
    if (word == 0) {
        return fail(HNORM_INVALID_ARGUMENT,
                    "%s: there was no forward before it: it gives the gradients of the layer's latest forward",
                    function);
    }
    if (word & kOverwrittenBit) {
        return fail(
            HNORM_INVALID_ARGUMENT,
            "%s: the x of the latest forward has been overwritten, by that forward or a backward in place: give y or "
            "dx memory of its own",
            function);
    }
    if (fingerprint(planes) != (word & ~kBits)) {
        return fail(
            HNORM_INVALID_ARGUMENT,
            "%s: x (shape %s at %p) is not the tensor that the latest forward was given: it must be the same memory, "
            "with the same shape and strides",
            function, ShapeText(x).text, static_cast<void *>(planes.data));
    }
    if (residual != ((word & kResidualBit) != 0)) {
        return fail(HNORM_INVALID_ARGUMENT, "%s: the latest forward had %s residual: its gradients are given by %s",
                    function, residual ? "no" : "a", residual ? "hnorm_layer_backward" : "hnorm_layer_backward_add");
    }
    *forward = word & kTrainingBit ? Forward::kTraining : Forward::kEvaluation;
    return HNORM_OK;
}

}  // namespace hnorm::detail

namespace {

// Through the statistics of the batch, which training kept. Evaluation kept nothing: they are the same bits once more.
hnorm_status backward_of_batch(const char *function, const Machine &machine, const hnorm_layer &layer, bool kept,
                               Backward b) {
    b.mean = layer.record.mean.data();
    b.variance = layer.record.variance.data();
    Scratch scratch;
    if (!kept) {
        const int64_t groups = b.x.groups(b.group);
        HNORM_TRY(scratch.reserve(function, 2 * groups));
        double *const mean = scratch.data(), *const variance = scratch.data() + groups;
        HNORM_TRY(compute_moments(function, machine, b.x, b.group, mean, variance));
        const auto total = static_cast<double>(b.x.group_size(b.group));
        std::for_each(variance, variance + groups, [total](double &value) { value /= total; });
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
    HNORM_TRY(check_features(function, *layer, *x, in));
    const hnorm_affine affine = layer->affine();
    AffineView affine_view;
    HNORM_TRY(read_affine(function, &affine, in, &affine_view, nullptr));
    Machine machine;
    HNORM_TRY(find_machine(function, &machine));
    if (in.empty()) {
        return HNORM_OK;
    }
    LayerRecord::Forward forward;
    HNORM_TRY(layer->record.find(function, *x, in, add != nullptr, &forward));

    // Apart until all has succeeded.
    std::vector<float> step;
    try {
        step.resize(2 * layer->gamma.size());
    } catch (const std::bad_alloc &) {
        return fail(HNORM_OUT_OF_MEMORY, "%s: no memory for %zu gradients", function, 2 * layer->gamma.size());
    }
    float *const dgamma = step.empty() ? nullptr : step.data();
    float *const dbeta = step.empty() ? nullptr : step.data() + layer->gamma.size();
    const Backward b = {in,
                        tensors.dy.planes,
                        dx ? &tensors.dx.planes : nullptr,
                        layer->options.group,
                        nullptr,
                        nullptr,
                        affine_view,
                        false,
                        layer->options.eps,
                        dgamma,
                        dbeta,
                        slope,
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
    for (size_t c = 0; c < layer->gamma.size(); ++c) {
        layer->gamma_grad[c] += dgamma[c];
        layer->beta_grad[c] += dbeta[c];
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

hnorm_status hnorm_layer_zero_grad(hnorm_layer *layer) {
    if (layer == nullptr) {
        return null_layer("hnorm_layer_zero_grad");
    }
    std::fill(layer->gamma_grad.begin(), layer->gamma_grad.end(), 0.0F);
    std::fill(layer->beta_grad.begin(), layer->beta_grad.end(), 0.0F);
    return HNORM_OK;
}

}  // extern "C"
