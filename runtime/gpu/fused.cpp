// Forward and backward in one launch each: a block of the device sums a group and writes its
// elements (docs/gpu.md, "Fused kernels").
#include <algorithm>

#include "backend.h"

namespace hnorm::gpu {

namespace {

bool are_fused(const DeviceDispatch &dispatch, const SumsView &seen) {
    const int64_t together = dispatch.fused_groups[seen.planes];
    if (together == 0 || seen.few_channels) {
        return false;
    }
    const int64_t blocks = (seen.x.g0.extent + together - 1) / together * seen.x.g1.extent;
    const int64_t bytes = std::min(together, seen.x.g0.extent) * seen.x.group_size() * seen.x.element_size();
    const bool few = blocks < dispatch.fused_blocks;
    const bool fit = bytes <= (few ? dispatch.fused_alone_bytes : dispatch.fused_bytes);
    // The second axis of a grid, on which the samples of instance norm are.
    constexpr int64_t kMostAlongSecond = 65535;
    const bool many = bytes < dispatch.fused_short_bytes && blocks > dispatch.fused_short_blocks;
    return seen.x.g1.extent <= kMostAlongSecond && fit && !many;
}

}  // namespace

bool Gpu::fuses(const Forward &a) const {
    return are_own(a) && are_fused(kernels.forward[a.x.type], sums_view(a.x, nullptr, a.group));
}

bool Gpu::fuses(const Backward &b) const {
    return b.dx && b.summed() == b.group && are_fused(kernels.backward[b.x.type], sums_view(b.x, &b.dy, b.group));
}

hnorm_status Gpu::fused(const Forward &a) const {
    const SumsView seen = sums_view(a.x, nullptr, a.group);
    const View &view = seen.x;
    const View y = seen_alike(seen, a.y, a.group);
    const View residual = a.post.residual ? seen_alike(seen, *a.post.residual, a.group) : view;
    const AffineView affine = present(a.affine);
    const Track *const tracked = own_step(a);
    const Track step = tracked ? *tracked : Track{};
    Unwanted unwanted(*this);
    HNORM_TRY(unwanted.reserve());
    const auto values = [&](double *wanted) { return unwanted.or_else(wanted, view); };
    const DeviceElementKernels &of_type = kernels.of[a.x.type];
    HNORM_TRY(launch(
        *this, chosen(*this, of_type.fused_forward, of_type.fused_forward_aligned, seen.planes, {&view, &y, &residual}),
        Elements(*this, view), read(*this, affine.gamma, view), read(*this, affine.beta, view), a.eps,
        slope_bits(a.post.slope), static_cast<int32_t>(a.post.residual != nullptr), Elements(*this, residual),
        values(step.running_mean), values(step.running_variance), 1 - step.momentum, step.momentum, step.correction,
        kZero, Elements(*this, y), values(a.mean), values(a.variance), values(step.running_mean),
        values(step.running_variance)));
    return a.track && !tracked ? track(*a.track) : HNORM_OK;
}

hnorm_status Gpu::fused(const Backward &b) const {
    const SumsView seen = sums_view(b.x, &b.dy, b.group);
    const View &view = seen.x;
    const AffineView affine = present(b.by.affine);
    const bool shared = shares_parameters(b);  // What adds their gradients needs the sums.
    SumsMemory<Gpu> memory(*this, b);
    GroupSums sums = {};
    if (shared) {
        HNORM_TRY(memory.reserve());
        sums = memory.all();
    }
    Unwanted unwanted(*this);
    HNORM_TRY(unwanted.reserve());
    const auto gradient = [&](float *values) { return unwanted.or_else(shared ? nullptr : values, view); };
    const DeviceElementKernels &of_type = kernels.of[b.x.type];
    const View dx = seen_alike(seen, *b.dx, b.group);
    HNORM_TRY(launch(
        *this,
        chosen(*this, of_type.fused_backward, of_type.fused_backward_aligned, seen.planes, {&view, &seen.dy, &dx}),
        Elements(*this, view), Elements(*this, seen.dy), read(*this, b.by.mean, view), read(*this, b.by.variance, view),
        read(*this, affine.gamma, view), read(*this, affine.beta, view), b.by.eps, slope_bits(b.slope),
        gradient(b.dgamma), gradient(b.dbeta), static_cast<int32_t>(b.add), kZero, Elements(*this, dx),
        unwanted.or_else(sums.dy, view), unwanted.or_else(sums.dy_xmu, view), gradient(b.dgamma), gradient(b.dbeta)));
    return parameter_gradients(b, sums);
}

}  // namespace hnorm::gpu
