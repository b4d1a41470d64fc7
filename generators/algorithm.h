// The mathematics of batch and instance normalization: the values that are computed, and the order
// of sums. The names are those of docs/order.md. schedules/ decides how they are computed, and
// cannot change a bit of a result.
#pragma once

#include "chunks.h"
#include "products.h"

#include <limits>

namespace hnorm {

// The sums of d = x*scale - center and of d*d over the runs of x(s, r, g0, g1). scale may be
// undefined. If it is defined, the greatest |d| is a result too.
inline Reduction sums_about(const Chunks &chunks, Func x, Func runs, const Expr &center, const Expr &scale,
                            const Products &times = {}) {
    Reduction d;
    const Axes &v = d.v;
    chunks.sum_runs(&d, runs, [&](Expr s, Expr r) {
        const Expr value = x(s, r, v.g0, v.g1);
        const Expr deviation = (scale.defined() ? times(value, scale) : value) - center;
        std::vector<Expr> terms = {deviation, times(deviation, deviation)};
        if (scale.defined()) terms.push_back(magnitude(deviation));
        return terms;
    });
    return d;
}

// 1 / sqrt(variance + eps) in double, or 0 if variance + eps is 0, as in a constant group without
// eps.
inline Expr invstd(const Expr &variance, const Expr &eps) {
    return select(variance + eps == 0, cast<double>(0), cast<double>(1) / sqrt(variance + eps));
}

// m, a, b of y = (x - m) * a + b for a group, each rounded once from double. Subtracting m first
// keeps full accuracy where |mean| is 100,000 times sigma.
inline Tuple coefficients(Expr mean, Expr variance, Expr gamma, Expr beta, Expr eps, const Products &times) {
    const Expr m = cast<float>(mean);
    const Expr wanted = select(variance + eps == 0, cast<double>(0), cast<double>(gamma) / sqrt(variance + eps));
    const Expr most = cast<double>(std::numeric_limits<float>::max());
    const Expr a = cast<float>(
        select(variance == 0 && wanted > most, most, select(variance == 0 && wanted < -most, -most, wanted)));
    const Expr b = cast<float>(cast<double>(beta) - times(mean - cast<double>(m), cast<double>(a)));
    return Tuple(m, a, b);
}

// A layer's running statistic after a step.
inline Expr running_after(const Expr &running, const Expr &value, const Expr &weight_before, const Expr &weight,
                          const Products &times) {
    return times(weight_before, running) + times(weight, value);
}

// z from x - m
inline Expr normalized(Expr centered, const Expr &a, const Expr &b, const Products &times) {
    return times(centered, a) + b;
}

// An activation's factor for values below 0: 1 is no activation, +0 is ReLU. It is passed as the
// bits of a float, because Halide specializes on values of integers.
struct Slope {
    Expr bits;
    Expr value() const { return reinterpret<float>(bits); }
    Expr is_none() const { return bits == 0x3f800000; }
    Expr is_relu() const { return bits == 0; }
};

// value * slope, or +0 for every value if slope is 0. It is an integer "and" with a mask that is
// computed before the loop. With a select by slope == 0, Halide 21 computes the mask again for
// every vector.
inline Expr sloped(Expr value, const Slope &slope) {
    return reinterpret<float>(reinterpret<int32_t>(value * slope.value()) & select(slope.is_relu(), 0, -1));
}

// The activation. This form keeps a NaN on every target.
inline Expr activated(Expr z, const Slope &slope) { return select(z < 0.0f, sloped(z, slope), z); }

// Its gradient: dy where z is above 0. y may stand for z, since it has the sign of z.
inline Expr activated_gradient(Expr z, Expr dy, const Slope &slope) { return select(0.0f < z, dy, sloped(dy, slope)); }

}  // namespace hnorm
