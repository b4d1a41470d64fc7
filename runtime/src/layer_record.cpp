// What a layer's forward leaves for its gradients.
#include "error.h"
#include "layer.h"

namespace hnorm::detail {

namespace {

constexpr uint64_t kRecordedBit = 1, kTrainingBit = 2, kOverwrittenBit = 4, kResidualBit = 8, kRanksBit = 16,
                   kBits = 31;

// Different for different places, shapes and strides, but for an accident in 2^60.
uint64_t fingerprint(const CheckedTensor &x) {
    uint64_t hash = reinterpret_cast<uintptr_t>(x.data);
    for (const int64_t value : {x.n, x.c, x.s, x.stride_n, x.stride_c, x.stride_s, static_cast<int64_t>(x.type),
                                static_cast<int64_t>(x.layout), static_cast<int64_t>(x.device)}) {
        hash = (hash ^ static_cast<uint64_t>(value)) * 0x9e3779b97f4a7c15;
        hash ^= hash >> 29;
    }
    return hash & ~kBits;
}

}  // namespace

hnorm_status LayerRecord::begin_training(const char *function, int64_t groups, bool over_ranks) {
    latest_.store(over_ranks ? kRanksBit : 0, std::memory_order_relaxed);
    HNORM_TRY(mean.resize(function, static_cast<size_t>(groups)));
    return variance.resize(function, static_cast<size_t>(groups));
}

void LayerRecord::move_to(const Storage &storage) {
    latest_.store(0, std::memory_order_relaxed);
    mean.move_to(storage);
    variance.move_to(storage);
}

bool LayerRecord::is_over_ranks() const { return (latest_.load(std::memory_order_relaxed) & kRanksBit) != 0; }

void LayerRecord::end(const CheckedTensor &x, const CheckedTensor &y, bool training, bool residual, bool over_ranks) {
    const uint64_t word = fingerprint(x) | kRecordedBit | (training ? kTrainingBit : 0) |
                          (y.data == x.data && !x.empty() ? kOverwrittenBit : 0) | (residual ? kResidualBit : 0) |
                          (over_ranks ? kRanksBit : 0);
    // Threads that evaluate the same x again and again do not take the word from each other's
    // caches.
    if (latest_.load(std::memory_order_relaxed) != word) {
        latest_.store(word, std::memory_order_relaxed);
    }
}

void LayerRecord::x_overwritten() { latest_.fetch_or(kOverwrittenBit, std::memory_order_relaxed); }

hnorm_status LayerRecord::find(const char *function, const hnorm_tensor &x, const CheckedTensor &planes, bool residual,
                               Forward *forward) const {
    const uint64_t word = latest_.load(std::memory_order_relaxed);
    if ((word & kRecordedBit) == 0) {
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
