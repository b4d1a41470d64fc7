// Backward's operations (docs/order.md, "Backward"), written once for the CPU and devices. A
// backend (cpu.h) gives the parts.
#pragma once

#include "error.h"
#include "forward.h"

namespace hnorm::detail {

// The sums of backward, of dy and of dy*(x - mean): one a group of `group`, dense.
struct GroupSums {
    double *dy, *dy_xmu;
    Grouping group;
};

// hnorm_backward, and hnorm_normalize_backward, for which the statistics are constants
struct Backward {
    static constexpr Operation kOperation = kBackward;
    CheckedTensor x, dy;
    const CheckedTensor *dx;  // null: not wanted
    Grouping group;
    Normalization by;       // null statistics: those of x (compute_backward_of_batch alone)
    bool per_sample;        // there are N*C gammas and betas, and as many gradients; else C
    float *dgamma, *dbeta;  // null: not wanted
    bool add = false;       // to what dgamma and dbeta hold
    float slope = 1;        // of the activation
    // If a residual was added and there is an activation: y of forward, which has its sign.
    const CheckedTensor *y = nullptr;
    const CheckedTensor *dresidual = nullptr;  // null: not wanted

    bool has_residual() const { return y || dresidual; }
    bool wants_parameters() const { return dgamma || dbeta; }
    int64_t parameters() const { return per_sample ? dy.n * dy.c : dy.c; }
    // The groups whose sums are computed. They are the groups of the statistics, or smaller ones
    // where a group has several gammas.
    Grouping summed() const {
        return per_sample || group.together > 1 ? Grouping{HNORM_INSTANCE, 1} : Grouping{group.by, 1};
    }
    CallKind kind(Computes computes = Computes::kBackward) const {
        return {computes, x, dx ? dx->data : nullptr, group, slope != 1, has_residual()};
    }
};

// hnorm_backward_reduce
struct BackwardReduce {
    static constexpr Operation kOperation = kBackward;
    CheckedTensor x, dy;
    Values<double> mean;
    GroupSums sums;

    CallKind kind() const { return {Computes::kBackwardReduce, x, nullptr, sums.group}; }
};

// hnorm_backward_apply
struct BackwardApply {
    static constexpr Operation kOperation = kBackward;
    CheckedTensor x, dy;
    Normalization by;
    GroupSums sums;
    Values<double> count;  // elements of each group
    CheckedTensor dx;

    CallKind kind() const { return {Computes::kBackwardApply, x, dx.data, sums.group}; }
};

// hnorm_activation_backward
struct ActivationBackward {
    static constexpr Operation kOperation = kBackward;
    CheckedTensor y, dy;
    float slope;
    CheckedTensor dz;

    CallKind kind() const { return {Computes::kActivationBackward, y, dz.data, {}}; }
};

// Where dz of a backward behind a residual lies.
struct PlaceOfDz {
    explicit PlaceOfDz(const Backward &b)
        : gated(b.has_residual() && b.slope != 1),
          wide(gated && !b.dresidual && b.slope != 0 && b.dy.type != HNORM_F32),
          computed(gated || (b.dresidual && b.dresidual->data != b.dy.data)),
          tensor(!computed || wide                ? nullptr
                 : b.dresidual                    ? b.dresidual
                 : b.dx && b.dx->data != b.x.data ? b.dx
                                                  : nullptr) {}
    // A tensor with the strides of dz.
    CheckedTensor like(const CheckedTensor &dy) const {
        return !computed ? dy : tensor ? *tensor : dense_like(dy, nullptr);
    }

    bool gated;  // There is an activation.
    // dz, x and dx have floats. Elements of 16 bits would round dz although the caller does not ask
    // for it.
    bool wide;
    bool computed;  // dz is not dy itself.
    // dresidual, or dx, which the gradient later overwrites (but not if dx is x, because x is still
    // needed). Null: dz is dy, or lies in memory of the call.
    const CheckedTensor *tensor;
};

// Backward behind a residual (hnorm_post_ops_gradient) has two steps. The first computes dz. The
// second, `rest`, is backward without an activation, with dz in the place of dy. Without a residual
// `rest` is the whole call.
template <typename Backend>
class BehindResidual {
public:
    BehindResidual(const Backend &on, const Backward &given)
        : rest(given), on_(on), given_(given), place_(given), memory_of_dz_(on), memory_of_x_(on) {
        if (given.has_residual()) {
            rest.slope = 1;
            rest.y = rest.dresidual = nullptr;
        }
    }

    // Takes memory for dz if it has no other place.
    hnorm_status reserve() {
        if (!place_.computed) {
            return HNORM_OK;
        }
        const int64_t elements = given_.dy.elements();
        if (place_.wide) {
            const int64_t bytes = elements * static_cast<int64_t>(sizeof(float));
            HNORM_TRY(memory_of_dz_.reserve(bytes));
            rest.dy = dx_ = floats(given_.dy, memory_of_dz_.data());
            rest.dx = given_.dx ? &dx_ : nullptr;
            if (given_.x.data) {
                HNORM_TRY(memory_of_x_.reserve(bytes));
                rest.x = floats(given_.x, memory_of_x_.data());
            }
            return HNORM_OK;
        }
        if (place_.tensor) {
            rest.dy = *place_.tensor;
        } else {
            HNORM_TRY(memory_of_dz_.reserve(elements * given_.dy.element_size()));
            rest.dy = dense_like(given_.dy, memory_of_dz_.data());
        }
        return HNORM_OK;
    }

    // Computes dz of some groups. Without an activation it is a copy of dy.
    hnorm_status compute_dz(const Range &range) const {
        if (!place_.computed) {
            return HNORM_OK;
        }
        const CheckedTensor dy = cropped(given_.dy, range), y = place_.gated ? cropped(*given_.y, range) : dy;
        if (!place_.wide) {
            return on_.activation_backward(y, dy, given_.slope, cropped(rest.dy, range));
        }
        HNORM_TRY(on_.wide_gradient(y, dy, given_.slope, cropped(rest.dy, range)));
        if (given_.x.data) {
            const CheckedTensor x = cropped(given_.x, range);
            HNORM_TRY(on_.wide_gradient(x, x, 1, cropped(rest.x, range)));
        }
        return HNORM_OK;
    }
    // Writes dx of some groups, after the rest has computed it.
    hnorm_status write_dx(const Range &range) const {
        return place_.wide && rest.dx ? on_.narrow(cropped(dx_, range), cropped(*given_.dx, range)) : HNORM_OK;
    }

    Backward rest;

private:
    static CheckedTensor floats(const CheckedTensor &like, void *memory) {
        CheckedTensor planes = dense_like(like, memory);
        planes.type = HNORM_F32;
        return planes;
    }

    const Backend &on_;
    const Backward &given_;
    const PlaceOfDz place_;
    typename Backend::template Memory<char> memory_of_dz_, memory_of_x_;
    CheckedTensor dx_ = {};
};

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
    GroupSums from(const Range &range) {
        const int64_t first = b_.summed().first(b_.x, range);
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
hnorm_status compute_backward_block(const Backend &on, const Backward &b, const Range &range, bool past_cache,
                                    const GroupSums &sums) {
    const CheckedTensor x = cropped(b.x, range), dy = cropped(b.dy, range);
    const Normalization by = b.by.from(range);
    typename Backend::Gate gate(on);
    typename Backend::Gradient gradient(on);
    HNORM_TRY(on.gate(x, by, b.slope, &gate));
    HNORM_TRY(on.reduce(x, dy, by, &b, sums, &gate, &gradient));
    if (b.dx) {
        HNORM_TRY(on.gradient(x, by, b.group, static_cast<double>(b.group.size(b.x)), sums, &gradient));
    }
    HNORM_TRY(on.weigh(b, range, sums));
    return b.dx ? on.apply(x, dy, gradient, gate, cropped(*b.dx, range), past_cache) : HNORM_OK;
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
            const Range all = all_of(b.x);
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
    const auto compute = [&](const Range &range) {
        HNORM_TRY(behind.compute_dz(range));
        if (wanted) {
            HNORM_TRY(compute_backward_block(on, b, range, past_cache, sums.from(range)));
        }
        return behind.write_dx(range);
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
    const Range all = all_of(b.dy);
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
    const auto compute = [&](const Range &range) {
        const CheckedTensor x = cropped(a.x, range);
        const int64_t first = group.first(a.x, range);
        typename Backend::Gradient gradient(on);
        HNORM_TRY(on.gradient(x, a.by.from(range), group, a.count.from(range),
                              {a.sums.dy + first, a.sums.dy_xmu + first, group}, &gradient));
        return on.apply(x, cropped(a.dy, range), gradient, typename Backend::Gate(on), cropped(a.dx, range),
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
