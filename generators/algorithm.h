// The mathematics of batch and instance normalization, once. What is computed, and in which order (docs/order.md, whose
// names are used here); nothing on how: schedules/ decides that and cannot change a bit of the result.
#pragma once

#include "chunks.h"

namespace hnorm {

struct Moments : Reduction {
    Func mean, m2;  // (g0, g1)
    Expr total;     // elements of a group
};

// moments of x(s, r, g0, g1) over s (S positions) and r (N planes)
inline Moments moments(Func x, const Expr &S, const Expr &N, Planes planes, const Products &times,
                       const Steps &steps = {}) {
    Moments d;
    d.planes = planes;
    const Axes &v = d.v;
    const Chunks chunks(v, planes, S, N, steps);
    const Expr cnt = chunks.count(v.k, v.m);
    Func pivot("pivot"), center("center"), raw("raw"), in_range("in_range");

    // Channels-last the center is the mean of a sample of the chunk.
    const bool sample = planes == Planes::Last;
    const LaneSum sum =
        chunks.lane_sum("sum", [&](Expr s, Expr r) { return std::vector<Expr>{x(s, r, v.g0, v.g1)}; }, Expr(), sample);
    const Expr summed = sample ? chunks.sampled_count(v.k, v.m) : cnt;
    center(v.k, v.m, v.g0, v.g1) = cast<float>(cast<double>(chunks.total(sum)[0]) / summed);
    const Expr c = center(v.k, v.m, v.g0, v.g1);

    const auto deviation = [&](const Expr &d) { return std::vector<Expr>{d, times(d, d)}; };
    const auto corrected = [&](Expr c, Expr e, Expr q) {
        const Expr offset = e / cnt;
        const Expr m2 = q - times(e, offset);
        return Tuple(c + offset, select(m2 < 0, cast<double>(0), m2));  // this form keeps a NaN
    };
    const LaneSum squares =
        chunks.lane_sum("squares", [&](Expr s, Expr r) { return deviation(x(s, r, v.g0, v.g1) - c); });
    const std::vector<Expr> eq = chunks.total(squares);
    const Expr e = cast<double>(eq[0]), q = cast<double>(eq[1]);
    raw(v.k, v.m, v.g0, v.g1) = corrected(cast<double>(c), e, q);

    // Only "<" serves here: Halide 21 compiles a <= b as !(b < a), strict_float or not, which is true for a NaN.
    const Expr raw_m2 = raw(v.k, v.m, v.g0, v.g1)[1];
    in_range(v.k, v.m, v.g0, v.g1) = cast<uint8_t>(Expr(kLeastInRange) < raw_m2 && raw_m2 < Expr(kGreatestInRange) &&
                                                   Expr(kFarCenter) * (e * (e / cnt)) < q);
    const Expr redo = in_range(v.k, v.m, v.g0, v.g1) == 0;
    const Expr finite = (reinterpret<int32_t>(c) & 0x7f800000) != 0x7f800000;
    pivot(v.k, v.m, v.g0, v.g1) = x(chunks.first_position(), chunks.first_plane(), v.g0, v.g1);
    const Expr safe_center = cast<double>(select(finite, c, pivot(v.k, v.m, v.g0, v.g1)));
    chunks.sum_in_double(d, redo,
                         [&](Expr s, Expr r) { return deviation(cast<double>(x(s, r, v.g0, v.g1)) - safe_center); });

    d.chunk = Func("chunk");
    const FuncRef once = raw(v.k, v.m, v.g0, v.g1), again = d.in_double(v.k, v.m, v.g0, v.g1);
    const Tuple twice = corrected(safe_center, again[0], again[1]);
    d.chunk(v.k, v.m, v.g0, v.g1) = Tuple(select(redo, twice[0], once[0]), select(redo, twice[1], once[1]));

    // Merging in double, about the first chunk's mean: a constant group's mean is exact, whatever the count.
    d.total = chunks.total();
    const auto chunk_at = [&](const Expr &k, const Expr &m) { return d.chunk(k, m, v.g0, v.g1); };
    const Expr first_mean = chunk_at(0, 0)[0];
    const GroupSum mean_sum = chunks.sum_of_group("mean_sum", [&](Expr k, Expr m) {
        return std::vector<Expr>{times(chunk_at(k, m)[0] - first_mean, chunks.count(k, m))};
    });
    d.mean = Func("group_mean");
    d.mean(v.g0, v.g1) = first_mean + mean_sum.total(v.g0, v.g1) / d.total;
    const GroupSum m2_sum = chunks.sum_of_group("m2_sum", [&](Expr k, Expr m) {
        const Expr off = chunk_at(k, m)[0] - d.mean(v.g0, v.g1);
        return std::vector<Expr>{chunk_at(k, m)[1] + times(chunks.count(k, m) * off, off)};
    });
    d.m2 = m2_sum.total;

    d.sums = {sum, squares};
    d.of_chunk = {pivot, center, raw, in_range};
    d.merged = {mean_sum, m2_sum};
    d.of_group = {d.mean};
    d.K = chunks.K();
    d.M = chunks.M();
    return d;
}

// m, a, b of y = (x - m) * a + b, rounded once each from double, for each group. Subtracting m first keeps full accuracy
// where |mean| is 100,000 times sigma.
inline Func coefficients(const Axes &v, Expr mean, Expr variance, Expr gamma, Expr beta, Expr eps,
                         const Products &times) {
    Func c("coefficients");
    const Expr m = cast<float>(mean);
    const Expr a = cast<float>(cast<double>(gamma) / sqrt(variance + eps));
    const Expr b = cast<float>(cast<double>(beta) - times(mean - cast<double>(m), cast<double>(a)));
    c(v.g0, v.g1) = Tuple(m, a, b);
    return c;
}

inline Expr normalized(Expr x, const FuncRef &coefficients, const Products &times) {
    return times(x - coefficients[0], coefficients[1]) + coefficients[2];
}

// An activation's factor for what is below 0, as the bits of a float: Halide specializes on values of integers. 1: none, +0: ReLU.
struct Slope {
    Expr bits;
    Expr value() const { return reinterpret<float>(bits); }
    Expr is_none() const { return bits == 0x3f800000; }
    Expr is_relu() const { return bits == 0; }
};

// value * slope, and +0 where slope is 0, whatever the value. Integers' "and" with a mask that loops find ready: of a select by
// slope == 0 Halide 21 makes the mask anew for every vector.
inline Expr sloped(Expr value, const Slope &slope) {
    return reinterpret<float>(reinterpret<int32_t>(value * slope.value()) & select(slope.is_relu(), 0, -1));
}

// The activation. This form keeps a NaN on every target.
inline Expr activated(Expr z, const Slope &slope) { return select(z < 0.0f, sloped(z, slope), z); }

// Its gradient: dy where z, or y, which has its sign, is above 0.
inline Expr activated_gradient(Expr z, Expr dy, const Slope &slope) { return select(0.0f < z, dy, sloped(dy, slope)); }

}  // namespace hnorm
