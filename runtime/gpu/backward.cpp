// Backward and normalize_backward, from their parts.
#include "backward.h"

#include "residual_backward.h"

namespace hnorm::gpu {

namespace {

// A scratch of doubles.
hnorm_status reserve(const Call &call, Scratch &scratch, int64_t count) {
    return scratch.reserve(call.function, count * static_cast<int64_t>(sizeof(double)));
}

GroupValues mean_of(const Backward &b) { return group_values(b.mean, b.x, b.group); }
GroupValues variance_of(const Backward &b) { return group_values(b.variance, b.x, b.group); }

// The activation's sign, where there is one.
class SignOf {
public:
    explicit SignOf(const Call &call) : call_(call), sign_(no_sign(call)), forward_(call) {}

    hnorm_status compute(const Backward &b) {
        if (b.slope == 1) {
            return HNORM_OK;
        }
        HNORM_TRY(coefficients(call_, b.x, mean_of(b), variance_of(b), b.affine, b.eps, &forward_));
        sign_ = {forward_[1], forward_[2], forward_.stride_n, 1, b.slope};
        return HNORM_OK;
    }
    const Sign &sign() const { return sign_; }

private:
    const Call &call_;
    Sign sign_;
    Forward forward_;
};

// The sums over the groups that a Backward rests on, and the parameters' gradients, which follow from them.
class GradientSums {
public:
    GradientSums(const Call &call, const Backward &b)
        : call_(call), b_(b), group_(summed_group(b)), dy_(call.driver), dy_xmu_(call.driver), own_(call) {}

    hnorm_status reduce(const Sign &sign) {
        HNORM_TRY(reserve(call_, dy_, b_.x.groups(group_)));
        HNORM_TRY(reserve(call_, dy_xmu_, b_.x.groups(group_)));
        return backward_reduce(call_, b_.x, b_.dy, group_, mean_of(b_), sign, variance_of(b_), b_.affine, b_.eps,
                               dy_.as<double>(), dy_xmu_.as<double>(), &own_);
    }
    hnorm_status write_dx(const Sign &sign) const;
    hnorm_status write_dx_of_channels(const Sign &sign) const;
    hnorm_status write_parameter_gradients(bool add) const;

private:
    On<GroupBuffer> sums(const Scratch &scratch) const {
        return On<GroupBuffer>(call_, scratch.as<double>(), b_.x, view_of(group_), b_.x.c, 1);
    }

    const Call &call_;
    const Backward &b_;
    const hnorm_group group_;
    Scratch dy_, dy_xmu_;
    Gradient own_;  // by the sums of the groups of group_
};

// Of channels that are together: g1 and g2 of the group.
hnorm_status GradientSums::write_dx_of_channels(const Sign &sign) const {
    Scratch g1(call_.driver), g2(call_.driver), count(call_.driver);
    HNORM_TRY(reserve(call_, g1, b_.x.n * b_.x.c));
    HNORM_TRY(reserve(call_, g2, b_.x.n * b_.x.c));
    HNORM_TRY(reserve(call_, count, 1));
    const AffineView affine = present(call_, b_.affine);
    On<GroupBuffer> of_dy = sums(dy_), of_dy_xmu = sums(dy_xmu_), of_g1 = sums(g1), of_g2 = sums(g2);
    On<GroupBuffer> gamma(call_, affine.gamma, b_.x, View::kInstance, affine.gamma_n, affine.gamma_c);
    HNORM_TRY(launch(call_, call_.kernels.weigh_channels, of_dy, of_dy_xmu, gamma, static_cast<int32_t>(b_.together),
                     kZero, of_g1, of_g2));
    Planes single = {};
    single.n = single.c = 1;
    On<GroupBuffer> of_count(call_, count.as<double>(), single, View::kBatch, 0, 1);
    HNORM_TRY(
        launch(call_, call_.kernels.fill, static_cast<double>(b_.x.group_size(b_.group) * b_.together), of_count));
    Gradient whole(call_);
    const auto values = [&](const Scratch &scratch) { return group_values(scratch.as<double>(), b_.x, b_.group); };
    HNORM_TRY(gradient_coefficients(call_, b_.x, mean_of(b_), variance_of(b_), b_.affine, b_.eps,
                                    {values(g1), values(g2), {count.as<double>(), 0, 0}}, false, &whole));
    return backward_apply(call_, b_.x, b_.dy, whole, sign, *b_.dx);
}

hnorm_status GradientSums::write_dx(const Sign &sign) const {
    if (b_.together > 1) {
        return write_dx_of_channels(sign);
    }
    if (group_ == b_.group) {
        return backward_apply(call_, b_.x, b_.dy, own_, sign, *b_.dx);
    }
    // Of each sample's part of batch norm's groups: g1 and g2 of the whole, and the count, a channel each.
    Scratch g1(call_.driver), g2(call_.driver), count(call_.driver);
    for (Scratch *scratch : {&g1, &g2, &count}) {
        HNORM_TRY(reserve(call_, *scratch, b_.x.c));
    }
    const AffineView affine = present(call_, b_.affine);
    On<GroupBuffer> of_dy = sums(dy_), of_dy_xmu = sums(dy_xmu_);
    On<GroupBuffer> gamma(call_, affine.gamma, b_.x, View::kInstance, affine.gamma_n, affine.gamma_c);
    const auto written = [&](const Scratch &scratch) {
        return On<GroupBuffer>(call_, scratch.as<double>(), b_.x, View::kBatch, 0, 1);
    };
    On<GroupBuffer> of_g1 = written(g1), of_g2 = written(g2), of_count = written(count);
    HNORM_TRY(launch(call_, call_.kernels.weigh, of_dy, of_dy_xmu, gamma, static_cast<int32_t>(b_.x.n),
                     static_cast<double>(b_.x.group_size(b_.group)), kZero, of_g1, of_g2, of_count));
    Gradient whole(call_);
    const auto values = [&](const Scratch &scratch) { return GroupValues{scratch.as<double>(), 0, 1}; };
    HNORM_TRY(gradient_coefficients(call_, b_.x, mean_of(b_), variance_of(b_), b_.affine, b_.eps,
                                    {values(g1), values(g2), values(count)}, false, &whole));
    return backward_apply(call_, b_.x, b_.dy, whole, sign, *b_.dx);
}

// One gradient a group of the sums, or, shared by the groups of a channel, their sum.
hnorm_status GradientSums::write_parameter_gradients(bool add) const {
    if (b_.dgamma == nullptr && b_.dbeta == nullptr) {
        return HNORM_OK;
    }
    const View results = b_.per_sample ? View::kInstance : View::kBatch;
    // The kernel writes both.
    Scratch unwanted(call_.driver);
    if (b_.dgamma == nullptr || b_.dbeta == nullptr) {
        HNORM_TRY(reserve(call_, unwanted, b_.x.n * b_.x.c));
    }
    float *const dgamma = b_.dgamma ? b_.dgamma : unwanted.as<float>();
    float *const dbeta = b_.dbeta ? b_.dbeta : unwanted.as<float>();
    const int64_t c = b_.x.c;
    On<GroupBuffer> of_dy = sums(dy_), of_dy_xmu = sums(dy_xmu_);
    On<GroupBuffer> variance(call_, b_.variance, b_.x, view_of(group_), groups_stride(b_.x, b_.group), 1);
    On<GroupBuffer> gamma_before(call_, dgamma, b_.x, results, c, 1), beta_before(call_, dbeta, b_.x, results, c, 1);
    On<GroupBuffer> gamma_after(call_, dgamma, b_.x, results, c, 1), beta_after(call_, dbeta, b_.x, results, c, 1);
    const bool shared = group_ == HNORM_INSTANCE && !b_.per_sample;
    return launch(call_, call_.kernels.parameter_gradients, of_dy, of_dy_xmu, variance, gamma_before, beta_before,
                  b_.eps, static_cast<int32_t>(shared ? b_.x.n : 1), static_cast<int32_t>(add), kZero, gamma_after,
                  beta_after);
}

// The statistics that the gradients rest on, where the call has none, or has them for groups of channels.
class OwnStatistics {
public:
    explicit OwnStatistics(const Call &call)
        : call_(call), mean_(call.driver), variance_(call.driver), of_channels_(call) {}

    // Sets those of b; x: a tensor of their shape, whose statistics they are where b has none.
    hnorm_status compute(const Planes &x, Backward *b) {
        const Grouping group = {b->group, b->together};
        const auto size = static_cast<double>(group.size(x));
        if (b->together > 1) {
            HNORM_TRY(b->mean ? of_channels_.repeat(x, group, b->mean, b->variance)
                              : of_channels_.merge(x, group, size));
            b->mean = of_channels_.mean();
            b->variance = of_channels_.variance();
        } else if (b->mean == nullptr) {
            HNORM_TRY(reserve(call_, mean_, x.groups(b->group)));
            HNORM_TRY(reserve(call_, variance_, x.groups(b->group)));
            Forward unused(call_);
            HNORM_TRY(
                moments(call_, x, b->group, {}, b->eps, size, mean_.as<double>(), variance_.as<double>(), &unused));
            b->mean = mean_.as<double>();
            b->variance = variance_.as<double>();
        }
        return HNORM_OK;
    }

private:
    const Call &call_;
    Scratch mean_, variance_;
    OfChannels of_channels_;
};

// Behind a residual: dz first, then the gradients without an activation, from dz for dy.
hnorm_status residual_backward(const Call &call, const Backward &b, bool add,
                               hnorm_status (*without)(const Call &, const Backward &, bool)) {
    BehindResidual behind(b);
    Backward &rest = behind.rest;
    if (!behind.gated && !behind.copied) {
        return without(call, rest, add);
    }
    Scratch dz(call.driver), x(call.driver);
    if (behind.wide) {
        const int64_t bytes = b.dy.elements() * static_cast<int64_t>(sizeof(float));
        HNORM_TRY(dz.reserve(call.function, bytes));
        if (b.x.data) {
            HNORM_TRY(x.reserve(call.function, bytes));
        }
        behind.widen(dz.as<void>(), x.as<void>());
        HNORM_TRY(wide_gradient(call, behind.y, b.dy, b.slope, rest.dy));
        if (b.x.data) {
            HNORM_TRY(wide_gradient(call, b.x, b.x, 1, rest.x));
        }
        HNORM_TRY(without(call, rest, add));
        return rest.dx ? narrow(call, *rest.dx, *b.dx) : HNORM_OK;
    }
    if (behind.dz) {
        rest.dy = *behind.dz;
    } else {
        HNORM_TRY(dz.reserve(call.function, b.x.elements() * b.x.element_size()));
        rest.dy = dense_like(b.x, dz.as<void>());
    }
    HNORM_TRY(activation_backward(call, behind.y, b.dy, b.slope, rest.dy));
    return without(call, rest, add);
}

}  // namespace

hnorm_status backward(const Call &call, const Backward &given, bool add) {
    if (given.has_residual()) {
        return residual_backward(call, given, add, backward);
    }
    Backward b = given;
    OwnStatistics own(call);
    HNORM_TRY(own.compute(b.x, &b));
    if (!b.dx && !b.dgamma && !b.dbeta) {
        return HNORM_OK;
    }
    SignOf sign(call);
    HNORM_TRY(sign.compute(b));
    GradientSums sums(call, b);
    HNORM_TRY(sums.reduce(sign.sign()));
    if (b.dx) {
        HNORM_TRY(sums.write_dx(sign.sign()));
    }
    return sums.write_parameter_gradients(add);
}

hnorm_status normalize_backward(const Call &call, const Backward &given, bool add) {
    if (given.has_residual()) {
        return residual_backward(call, given, add, normalize_backward);
    }
    Backward b = given;
    OwnStatistics own(call);
    HNORM_TRY(own.compute(b.dy, &b));
    const bool parameters = b.dgamma || b.dbeta, by_sign = b.dx && b.slope != 1;
    SignOf sign(call);
    if (parameters || by_sign) {
        HNORM_TRY(sign.compute(b));
    }
    GradientSums sums(call, b);
    if (parameters) {  // before dx, which may overwrite x or dy
        HNORM_TRY(sums.reduce(sign.sign()));
    }
    const GroupValues zero = {call.constants.zero, 0, 0}, one = {call.constants.one, 0, 0};
    if (by_sign) {  // the sign is x's matter: backward's pointwise part, with sums of 0
        Gradient gradient(call);
        HNORM_TRY(gradient_coefficients(call, b.x, mean_of(b), variance_of(b), b.affine, b.eps, {zero, zero, one},
                                        false, &gradient));
        HNORM_TRY(backward_apply(call, b.x, b.dy, gradient, sign.sign(), *b.dx));
    } else if (b.dx) {  // linear in x, as in normalize_backward.cpp of the CPU
        const AffineView affine = {b.affine.gamma, nullptr, b.affine.gamma_n, b.affine.gamma_c, 0, 0};
        Forward forward(call);
        HNORM_TRY(coefficients(call, b.dy, zero, group_values(b.variance, b.dy, b.group), affine, b.eps, &forward));
        HNORM_TRY(normalize(call, b.dy, forward, {}, *b.dx));
    }
    return parameters ? sums.write_parameter_gradients(add) : HNORM_OK;
}

}  // namespace hnorm::gpu
