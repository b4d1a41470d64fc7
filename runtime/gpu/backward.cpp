// Backward and normalize_backward, from their parts.
#include "backward.h"

#include "residual_backward.h"

namespace hnorm::gpu {

namespace {

// A scratch of doubles.
hnorm_status reserve(const Call &call, Scratch &scratch, int64_t count) {
    return scratch.reserve(call.function, count * static_cast<int64_t>(sizeof(double)));
}

// The sums over the groups that a Backward rests on, and the parameters' gradients, which follow from them.
class GradientSums {
public:
    GradientSums(const Call &call, const Backward &b)
        : call_(call), b_(b), group_(summed_group(b)), dy_(call.driver), dy_xmu_(call.driver) {}

    hnorm_status reduce() {
        HNORM_TRY(reserve(call_, dy_, b_.x.groups(group_)));
        HNORM_TRY(reserve(call_, dy_xmu_, b_.x.groups(group_)));
        return backward_reduce(call_, b_.x, b_.dy, group_, forward_part(b_), dy(), dy_xmu());
    }
    const double *dy() const { return dy_.as<double>(); }
    const double *dy_xmu() const { return dy_xmu_.as<double>(); }

    hnorm_status write_parameter_gradients(bool add) const;

private:
    double *dy() { return dy_.as<double>(); }
    double *dy_xmu() { return dy_xmu_.as<double>(); }

    const Call &call_;
    const Backward &b_;
    const hnorm_group group_;
    Scratch dy_, dy_xmu_;
};

// One gradient a group of the sums, or, shared by the groups of a channel, their sum.
hnorm_status GradientSums::write_parameter_gradients(bool add) const {
    if (b_.dgamma == nullptr && b_.dbeta == nullptr) {
        return HNORM_OK;
    }
    const View view = view_of(group_), results = b_.per_sample ? View::kInstance : View::kBatch;
    // The kernel writes both.
    Scratch unwanted(call_.driver);
    if (b_.dgamma == nullptr || b_.dbeta == nullptr) {
        HNORM_TRY(reserve(call_, unwanted, b_.x.n * b_.x.c));
    }
    float *const dgamma = b_.dgamma ? b_.dgamma : unwanted.as<float>();
    float *const dbeta = b_.dbeta ? b_.dbeta : unwanted.as<float>();
    const int64_t c = b_.x.c;
    On<GroupBuffer> of_dy(call_, dy(), b_.x, view, c, 1), of_dy_xmu(call_, dy_xmu(), b_.x, view, c, 1);
    On<GroupBuffer> variance(call_, b_.variance, b_.x, view, statistics_stride(b_.x, b_.group), 1);
    On<GroupBuffer> gamma_before(call_, dgamma, b_.x, results, c, 1), beta_before(call_, dbeta, b_.x, results, c, 1);
    On<GroupBuffer> gamma_after(call_, dgamma, b_.x, results, c, 1), beta_after(call_, dbeta, b_.x, results, c, 1);
    const bool shared = group_ == HNORM_INSTANCE && !b_.per_sample;
    return launch(call_, call_.kernels.parameter_gradients, of_dy, of_dy_xmu, variance, gamma_before, beta_before,
                  b_.eps, static_cast<int32_t>(shared ? b_.x.n : 1), static_cast<int32_t>(add), kZero, gamma_after,
                  beta_after);
}

// Behind a residual: dz first, then the gradients without an activation, from dz for dy.
hnorm_status residual_backward(const Call &call, const Backward &b, bool add,
                               hnorm_status (*without)(const Call &, const Backward &, bool)) {
    BehindResidual behind(b);
    Backward &rest = behind.rest;
    if (!behind.gated && !behind.copied) {
        return without(call, rest, add);
    }
    Scratch dz(call.driver);
    if (behind.dz) {
        rest.dy = *behind.dz;
    } else {
        HNORM_TRY(dz.reserve(call.function, b.x.elements() * b.x.element_size()));
        rest.dy = dense_like(b.x, dz.as<void>());
    }
    HNORM_TRY(activation_backward(call, behind.y, b.dy, b.slope, rest.dy));
    return without(call, rest, add);
}

// dx from sums over the groups of `summed`.
hnorm_status write_dx(const Call &call, const Backward &b, hnorm_group summed, const GradientSums &sums) {
    const double total = static_cast<double>(b.x.group_size(b.group));
    const auto values = [&](const double *data) { return group_values(data, b.x, b.group); };
    if (summed == b.group) {
        const GroupValues unused = {call.constants.one, 0, 0};
        return backward_apply(call, b.x, b.dy, forward_part(b), {values(sums.dy()), values(sums.dy_xmu()), unused},
                              *b.dx, total);
    }
    Weighted weighted(call, b.x.groups(b.group));
    HNORM_TRY(weighted.weigh(b.x, b.affine, summed, b.group, sums.dy(), sums.dy_xmu(), total));
    return backward_apply(call, b.x, b.dy, forward_part(b),
                          {values(weighted.g1()), values(weighted.g2()), values(weighted.count())}, *b.dx);
}

}  // namespace

hnorm_status Weighted::weigh(const Planes &x, const AffineView &given, hnorm_group summed, hnorm_group group,
                             const double *sum_dy, const double *sum_dy_xmu, double total) {
    for (Scratch *scratch : {&g1_, &g2_, &count_}) {
        HNORM_TRY(reserve(call_, *scratch, groups_));
    }
    const AffineView affine = present(call_, given);
    const View view = view_of(summed), results = view_of(group);
    On<GroupBuffer> of_dy(call_, sum_dy, x, view, x.c, 1), of_dy_xmu(call_, sum_dy_xmu, x, view, x.c, 1);
    On<GroupBuffer> gamma(call_, affine.gamma, x, view, affine.gamma_n, affine.gamma_c);
    On<GroupBuffer> g1(call_, g1_.as<double>(), x, results, x.c, 1), g2(call_, g2_.as<double>(), x, results, x.c, 1);
    On<GroupBuffer> count(call_, count_.as<double>(), x, results, x.c, 1);
    return launch(call_, call_.kernels.weigh, of_dy, of_dy_xmu, gamma, static_cast<int32_t>(summed == group ? 0 : x.n),
                  total, kZero, g1, g2, count);
}

hnorm_status backward(const Call &call, const Backward &given, bool add) {
    Backward b = given;
    Scratch mean(call.driver), variance(call.driver);
    if (b.mean == nullptr) {
        const int64_t groups = b.x.groups(b.group);
        HNORM_TRY(reserve(call, mean, groups));
        HNORM_TRY(reserve(call, variance, groups));
        HNORM_TRY(moments(call, b.x, b.group, static_cast<double>(b.x.group_size(b.group)), mean.as<double>(),
                          variance.as<double>()));
        b.mean = mean.as<double>();
        b.variance = variance.as<double>();
    }
    if (b.has_residual()) {
        return residual_backward(call, b, add, backward);
    }
    if (!b.dx && !b.dgamma && !b.dbeta) {
        return HNORM_OK;
    }
    GradientSums sums(call, b);
    HNORM_TRY(sums.reduce());
    if (b.dx) {
        HNORM_TRY(write_dx(call, b, summed_group(b), sums));
    }
    return sums.write_parameter_gradients(add);
}

hnorm_status normalize_backward(const Call &call, const Backward &b, bool add) {
    if (b.has_residual()) {
        return residual_backward(call, b, add, normalize_backward);
    }
    GradientSums sums(call, b);
    if (b.dgamma || b.dbeta) {  // before dx, which may overwrite x or dy
        HNORM_TRY(sums.reduce());
    }
    const GroupValues zero = {call.constants.zero, 0, 0}, one = {call.constants.one, 0, 0};
    if (b.dx && b.slope == 1) {  // linear in x, as in normalize_backward.cpp of the CPU
        const AffineView affine = {b.affine.gamma, nullptr, b.affine.gamma_n, b.affine.gamma_c, 0, 0};
        HNORM_TRY(normalize(call, b.dy, zero, group_values(b.variance, b.dy, b.group), affine, b.eps, {}, *b.dx));
    } else if (b.dx) {
        HNORM_TRY(backward_apply(call, b.x, b.dy, forward_part(b), {zero, zero, one}, *b.dx));
    }
    return b.dgamma || b.dbeta ? sums.write_parameter_gradients(add) : HNORM_OK;
}

}  // namespace hnorm::gpu
