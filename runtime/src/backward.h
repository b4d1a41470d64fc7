// Backward's operations (docs/order.md, "Backward"), written once for the CPU and devices. A
// backend (cpu.h) gives the parts.
#pragma once

#include "backward_arguments.h"
#include "behind_residual.h"
#include "error.h"
#include "forward.h"

namespace hnorm::detail {

// Memory for the sums of backward.
template <typename Backend>
class SumsMemory {
public:
    SumsMemory(const Backend &on, const Backward &b) : b_(b), groups_(b.summed().count(b.x)), dy_(on), dy_xmu_(on) {}
    hnorm_status reserve() {
        HNORM_TRY(dy_.reserve(groups_));
        return dy_xmu_.reserve(groups_);
    }
    GroupSums all() { return {dy_.data(), dy_xmu_.data(), b_.summed()}; }
    GroupSums from(const Slice &slice) {
        const int64_t first = b_.summed().first(b_.x, slice);
        return {dy_.data() + first, dy_xmu_.data() + first, b_.summed()};
    }

private:
    const Backward &b_;
    const int64_t groups_;
    typename Backend::template Memory<double> dy_, dy_xmu_;
};

// The gradients of parameters that no element depends on.
template <typename Backend>
hnorm_status zero_parameter_gradients(const Backend &on, const Backward &b) {
    for (float *gradient : {b.dgamma, b.dbeta}) {
        if (gradient && !b.add) {
            HNORM_TRY(on.fill(gradient, b.parameters(), 0.0F));
        }
    }
    return HNORM_OK;
}

// The sums of some groups, and their dx.
template <typename Backend>
hnorm_status compute_backward_block(const Backend &on, const Backward &b, const Slice &slice, bool past_cache,
                                    const GroupSums &sums) {
    const CheckedTensor x = cropped(b.x, slice), dy = cropped(b.dy, slice);
    const Normalization by = b.by.from(slice);
    typename Backend::Gate gate(on);
    typename Backend::Gradient gradient(on);
    HNORM_TRY(on.gate(x, by, b.slope, &gate));
    HNORM_TRY(on.reduce(x, dy, by, &b, sums, &gate, &gradient));
    if (b.dx) {
        HNORM_TRY(on.gradient(x, by, b.group, static_cast<double>(b.group.size(b.x)), sums, &gradient));
    }
    HNORM_TRY(on.weigh(b, slice, sums));
    return b.dx ? on.apply(x, dy, gradient, gate, cropped(*b.dx, slice), past_cache) : HNORM_OK;
}

template <typename Backend>
hnorm_status compute_backward(const Backend &on, const Backward &given) {
    if (given.x.empty()) {
        return zero_parameter_gradients(on, given);
    }
    BehindResidual<Backend> behind(on, given);
    HNORM_TRY(behind.reserve());
    Backward &b = behind.rest;
    if constexpr (Backend::kFuses) {
        if (on.fuses(b)) {
            const Slice all = all_of(b.x);
            HNORM_TRY(behind.compute_dz(all));
            HNORM_TRY(on.fused(b));
            return behind.write_dx(all);
        }
    }
    const bool wanted = b.dx || b.wants_parameters();
    typename Backend::ChannelStatistics statistics(on);
    SumsMemory<Backend> sums(on, b);
    if (wanted) {
        HNORM_TRY(statistics.repeat(b.x, &b.by));
        HNORM_TRY(sums.reserve());
    }
    const bool past_cache = b.dx && on.goes_past_cache(*b.dx, {&b.x, &b.dy}, !b.per_sample && !b.by.per_sample());
    const auto compute = [&](const Slice &slice) {
        HNORM_TRY(behind.compute_dz(slice));
        if (wanted) {
            HNORM_TRY(compute_backward_block(on, b, slice, past_cache, sums.from(slice)));
        }
        return behind.write_dx(slice);
    };
    // Where batch norm has a gamma for each sample, a group's sums are of its samples one by one:
    // no blocks of groups.
    const bool parts = b.group.by == HNORM_BATCH && b.per_sample;
    HNORM_TRY(parts ? compute(all_of(b.x)) : on.for_blocks(b.x, b.group, 2, compute));
    return b.wants_parameters() ? on.parameter_gradients(b, sums.all()) : HNORM_OK;
}

// The same, which computes the statistics of x again if the arguments have none. It is apart, so
// that who calls compute_backward does not link the kernels of moments.
template <typename Backend>
hnorm_status compute_backward_of_batch(const Backend &on, const Backward &given) {
    if (given.by.mean.data || given.x.empty()) {
        return compute_backward(on, given);
    }
    const int64_t groups = given.group.count(given.x);
    const auto size = static_cast<double>(given.group.size(given.x));
    typename Backend::template Memory<double> mean(on), variance(on);
    HNORM_TRY(mean.reserve(groups));
    HNORM_TRY(variance.reserve(groups));
    HNORM_TRY(moments_of_blocks(on, given.x, given.group, size, mean.data(), variance.data()));
    Backward b = given;
    b.by.mean = group_values<double>(mean.data(), b.x, b.group);
    b.by.variance = group_values<double>(variance.data(), b.x, b.group);
    return compute_backward(on, b);
}

template <typename Backend>
hnorm_status compute_normalize_backward(const Backend &on, const Backward &given) {
    if (given.dy.empty()) {
        return zero_parameter_gradients(on, given);
    }
    BehindResidual<Backend> behind(on, given);
    HNORM_TRY(behind.reserve());
    Backward &b = behind.rest;
    const Slice all = all_of(b.dy);
    HNORM_TRY(behind.compute_dz(all));
    typename Backend::ChannelStatistics statistics(on);
    HNORM_TRY(statistics.repeat(b.dy, &b.by));
    typename Backend::Gate gate(on);
    typename Backend::Gradient of_sums(on), gradient(on);
    SumsMemory<Backend> sums(on, b);
    const bool by_sign = b.dx && b.slope != 1;
    if (b.wants_parameters() || by_sign) {
        HNORM_TRY(on.gate(b.x, b.by, b.slope, &gate));
    }
    if (b.wants_parameters()) {  // before dx, which may overwrite x or dy
        HNORM_TRY(sums.reserve());
        HNORM_TRY(on.reduce(b.x, b.dy, b.by, &b, sums.all(), &gate, &of_sums));
        HNORM_TRY(on.weigh(b, all, sums.all()));
    }
    if (by_sign) {  // The sign depends on x: the pointwise part of backward, with sums of 0.
        HNORM_TRY(on.constant_gradient(b.x, b.by, &gate, &gradient));
        HNORM_TRY(on.apply(b.x, b.dy, gradient, gate, *b.dx, on.goes_past_cache(*b.dx, {&b.x, &b.dy})));
    } else if (b.dx) {  // normalize is linear in x: with dy for x, mean 0 and beta 0 it gives its own gradient.
        const Normalization linear = {on.constant(0), b.by.variance, {b.by.affine.gamma, on.no_beta()}, b.by.eps};
        HNORM_TRY(compute_normalize(on, {b.dy, linear, {}, *b.dx}));
    }
    HNORM_TRY(behind.write_dx(all));
    return b.wants_parameters() ? on.parameter_gradients(b, sums.all()) : HNORM_OK;
}

template <typename Backend>
hnorm_status compute_backward_reduce(const Backend &on, const BackwardReduce &a) {
    if (a.x.empty()) {
        const int64_t groups = a.sums.group.count(a.x);
        HNORM_TRY(on.fill(a.sums.dy, groups, 0.0));
        return on.fill(a.sums.dy_xmu, groups, 0.0);
    }
    const Normalization by = {a.mean, a.mean, {}, 0};
    typename Backend::Gate gate(on);
    typename Backend::Gradient unused(on);
    HNORM_TRY(on.gate(a.x, by, 1, &gate));
    return on.reduce(a.x, a.dy, by, nullptr, a.sums, &gate, &unused);
}

template <typename Backend>
hnorm_status compute_backward_apply(const Backend &on, const BackwardApply &a) {
    if (a.x.empty()) {
        return HNORM_OK;
    }
    const Grouping &group = a.sums.group;
    HNORM_TRY(on.check_counts(a.count.data, group.count(a.x)));
    const bool past_cache = on.goes_past_cache(a.dx, {&a.x, &a.dy});
    const auto compute = [&](const Slice &slice) {
        const CheckedTensor x = cropped(a.x, slice);
        const int64_t first = group.first(a.x, slice);
        typename Backend::Gradient gradient(on);
        HNORM_TRY(on.gradient(x, a.by.from(slice), group, a.count.from(slice),
                              {a.sums.dy + first, a.sums.dy_xmu + first, group}, &gradient));
        return on.apply(x, cropped(a.dy, slice), gradient, typename Backend::Gate(on), cropped(a.dx, slice),
                        past_cache);
    };
    // As in compute_normalize.
    return group.by == HNORM_BATCH ? compute(all_of(a.x)) : on.for_blocks(a.x, group, 2, compute);
}

template <typename Backend>
hnorm_status compute_activation_backward(const Backend &on, const ActivationBackward &a) {
    return a.y.empty() ? HNORM_OK : on.activation_backward(a.y, a.dy, a.slope, a.dz);
}

}  // namespace hnorm::detail
