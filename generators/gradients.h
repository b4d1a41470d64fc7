// The mathematics of the gradients (docs/order.md, "Backward").
#pragma once

#include "algorithm.h"

namespace hnorm {

// The gradient of the activation that followed forward's pointwise part, whose sign is recomputed from x.
struct Gate {
    Func coef;  // (g0, g1): forward's a and b; 0 where there is no activation, which needs none
    Slope slope;
    Products times;

    // dz from dy and from x - m, which has other uses.
    Expr operator()(const Axes &v, Expr centered, Expr dy) const {
        const FuncRef ab = coef(v.g0, v.g1);
        return activated_gradient(times(centered, ab[0]) + ab[1], dy, slope);
    }
    // The same for a loop whose schedule specializes on what the slope is.
    Expr specialized(const Axes &v, Expr centered, Expr dy) const {
        return select(slope.is_none(), dy, (*this)(v, centered, dy));
    }
};

inline Gate gate(const Axes &v, Expr mean, Expr variance, Expr gamma, Expr beta, Expr eps, const Slope &slope,
                 const Products &times) {
    Gate d;
    d.times = times;
    d.slope = slope;
    const Func of_forward = coefficients(v, mean, variance, gamma, beta, eps, times);
    const FuncRef mab = of_forward(v.g0, v.g1);
    d.coef = Func("gate");
    d.coef(v.g0, v.g1) = Tuple(select(slope.is_none(), 0.0f, mab[1]), select(slope.is_none(), 0.0f, mab[2]));
    return d;
}

struct GradientSums : Reduction {
    Func sums;                // (g0, g1): the sums of dy and of dy*(x - m)
    Expr sum_dy, sum_dy_xmu;  // of the group, at (g0, g1)
    Expr total;               // elements of a group
};

// Sums of dy(s, r, g0, g1), behind the gate, and of that times x - mean, over s and r.
inline GradientSums gradient_sums(Func x, Func dy, const Gate &gate, const Expr &mean, const Expr &S, const Expr &N,
                                  Planes planes, const Steps &steps = {}) {
    GradientSums d;
    d.planes = planes;
    const Axes &v = d.v;
    const Chunks chunks(v, planes, S, N, steps);
    Func rounded_mean("rounded_mean"), raw("raw"), in_range("in_range");

    rounded_mean(v.g0, v.g1) = cast<float>(mean);
    const Expr m = rounded_mean(v.g0, v.g1);
    const LaneSum products = chunks.lane_sum("products", [&](Expr s, Expr r) {
        const Expr centered = x(s, r, v.g0, v.g1) - m;
        const Expr g = gate.specialized(v, centered, dy(s, r, v.g0, v.g1));
        return std::vector<Expr>{g, gate.times(g, centered)};
    });
    const std::vector<Expr> eq = chunks.total(products);
    raw(v.k, v.m, v.g0, v.g1) = Tuple(cast<double>(eq[0]), cast<double>(eq[1]));
    const FuncRef once = raw(v.k, v.m, v.g0, v.g1);
    in_range(v.k, v.m, v.g0, v.g1) =
        cast<uint8_t>(abs(once[0]) < Expr(kGreatestInRange) && Expr(kLeastInRange) < abs(once[1]) &&
                      abs(once[1]) < Expr(kGreatestInRange));
    const Expr redo = in_range(v.k, v.m, v.g0, v.g1) == 0;
    chunks.sum_in_double(d, redo, [&](Expr s, Expr r) {
        const Expr g = cast<double>(gate(v, x(s, r, v.g0, v.g1) - m, dy(s, r, v.g0, v.g1)));
        return std::vector<Expr>{g, gate.times(g, cast<double>(x(s, r, v.g0, v.g1)) - cast<double>(m))};
    });
    d.chunk = Func("chunk");
    const FuncRef again = d.in_double(v.k, v.m, v.g0, v.g1);
    d.chunk(v.k, v.m, v.g0, v.g1) = Tuple(select(redo, again[0], once[0]), select(redo, again[1], once[1]));

    d.total = chunks.total();
    const GroupSum sums =
        chunks.sum_of_group("gradient_sums", [&](Expr k, Expr m) { return elements(d.chunk, {k, m, v.g0, v.g1}); });
    d.sums = sums.total;
    d.sum_dy = d.sums(v.g0, v.g1)[0];
    d.sum_dy_xmu = d.sums(v.g0, v.g1)[1] - gate.times(mean - cast<double>(m), d.sum_dy);

    d.given = {rounded_mean};
    d.Reduction::sums = {products};
    d.of_chunk = {raw, in_range};
    d.merged = {sums};
    d.K = chunks.K();
    d.M = chunks.M();
    d.for_chunks = {gate.coef};
    d.variants = {gate.slope.is_none(), gate.slope.is_relu(), !gate.slope.is_none()};
    return d;
}

// m, scale, k1, k2 of dx = (dy * scale - k1) - (x - m) * k2, rounded once each from double, for each group. g1 and g2 are
// the sums of gamma*dy and gamma*dy*(x - mean).
inline Func gradient_coefficients(const Axes &v, Expr mean, Expr variance, Expr gamma, Expr g1, Expr g2, Expr total,
                                  Expr eps, const Products &times) {
    Func c("gradient_coefficients");
    const Expr m = cast<float>(mean);
    const Expr invstd = cast<double>(1) / sqrt(variance + eps);
    const Expr slope = (((g2 / total) * invstd) * invstd) * invstd;
    c(v.g0, v.g1) =
        Tuple(m, cast<float>(cast<double>(gamma) * invstd),
              cast<float>(times(g1 / total, invstd) - times(mean - cast<double>(m), slope)), cast<float>(slope));
    return c;
}

// dx; dy is taken behind the gate.
inline Expr gradient(const Axes &v, Expr x, Expr dy, const Gate &gate, const FuncRef &c) {
    const Expr centered = x - c[0];
    return (gate.times(gate(v, centered, dy), c[1]) - c[2]) - gate.times(centered, c[3]);
}

}  // namespace hnorm
