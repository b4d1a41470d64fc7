// The mathematics of the gradients (docs/order.md, "Backward").
#pragma once

#include "algorithm.h"

namespace hnorm {

// The gradient of the activation that followed forward's pointwise part. The sign of z is computed
// again, from x.
struct Gate {
    Expr a, b;  // forward's, at (g0, g1)
    Slope slope;
    Products times;

    // dz. centered: x - m, which the caller needs as well.
    Expr operator()(const Expr &centered, const Expr &dy) const {
        return activated_gradient(normalized(centered, a, b, times), dy, slope);
    }
    // The same, for a loop whose schedule has a variant for each kind of slope.
    Expr specialized(const Expr &centered, const Expr &dy) const {
        return select(slope.is_none(), dy, (*this)(centered, dy));
    }
};

// The sums over the runs of dy(s, r, g0, g1) after the gate, and of its product with x - m. There
// is no activation, or it is ReLU.
inline Reduction gradient_sums(const Chunks &chunks, Func x, Func dy, Func runs, const Gate &gate, const Expr &m) {
    Reduction d;
    const Axes &v = d.v;
    chunks.sum_runs(&d, runs, [&](Expr s, Expr r) {
        const Expr centered = x(s, r, v.g0, v.g1) - m, given = dy(s, r, v.g0, v.g1);
        const Expr is_above = 0.0f < normalized(centered, gate.a, gate.b, gate.times);
        const Expr dz = select(gate.slope.is_none(), given, select(is_above, given, 0.0f));
        return std::vector<Expr>{dz, gate.times(dz, centered)};
    });
    d.variants = {gate.slope.is_none(), gate.slope.is_relu()};
    return d;
}

// The same sums of dy*scale_dy and x*scale_x - m*scale_x, and the greatest magnitudes of both, for
// any activation.
inline Reduction gradient_sums_measured(const Chunks &chunks, Func x, Func dy, Func runs, const Gate &gate,
                                        const Expr &m, const Expr &scale_x, const Expr &scale_dy) {
    Reduction d;
    const Axes &v = d.v;
    const Products &times = gate.times;
    chunks.sum_runs(&d, runs, [&](Expr s, Expr r) {
        const Expr value = x(s, r, v.g0, v.g1);
        const Expr of_y = times(gate.specialized(value - m, dy(s, r, v.g0, v.g1)), scale_dy);
        const Expr of_x = times(value, scale_x) - times(m, scale_x);
        return std::vector<Expr>{of_y, times(of_y, of_x), magnitude(of_y), magnitude(of_x)};
    });
    d.variants = {gate.slope.is_none(), !gate.slope.is_none()};
    return d;
}

// m, scale, k1, p, k2 of dx = (dy * scale - k1) - ((x - m) * p) * k2 for a group, each rounded once
// from double. g1 and g2 are the sums of gamma*dy and gamma*dy*(x - mean).
inline Tuple gradient_coefficients(Expr mean, Expr variance, Expr gamma, Expr g1, Expr g2, Expr total, Expr eps,
                                   const Products &times) {
    const Expr m = cast<float>(mean);
    const Expr inverse = invstd(variance, eps);
    const Expr slope = (((g2 / total) * inverse) * inverse) * inverse;
    const Expr e = cast<int>((reinterpret<int64_t>(slope) >> 52) & 2047) - 1023;
    const Expr is_one = (-100 <= e && e < 100) || e == -1023;
    const Expr power = reinterpret<float>((127 + select(is_one, 0, clamp(e >> 1, -126, 127))) << 23);
    return Tuple(m, cast<float>(cast<double>(gamma) * inverse),
                 cast<float>(times(g1 / total, inverse) - times(mean - cast<double>(m), slope)), power,
                 cast<float>(slope / cast<double>(power)));
}

// dx. centered: x - m. dy: before the gate is applied to it.
inline Expr gradient(Expr centered, Expr dy, const Gate &gate, Expr scale, Expr k1, Expr power, Expr k2) {
    return (gate.times(gate.specialized(centered, dy), scale) - k1) - gate.times(centered * power, k2);
}

// What the array of a parameter's gradient holds after a call: the gradient, added to what it held
// before if keep is not 0.
inline Expr gradient_after(const Expr &before, const Expr &gradient, const Expr &keep) {
    const Expr rounded = cast<float>(gradient);
    return select(keep != 0, before + rounded, rounded);
}

}  // namespace hnorm
