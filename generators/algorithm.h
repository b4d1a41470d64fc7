// The mathematics of batch and instance normalization, once. What is computed, and in which order (docs/order.md, whose
// names are used here); nothing on how: schedules/ decides that and cannot change a bit of the result.
#pragma once

#include <Halide.h>

#include <map>
#include <string>
#include <vector>

namespace hnorm {

using namespace Halide;

// Shape classes: constants of the order of summation.
enum class Planes { Tiny, Small, Large };

inline const std::map<std::string, Planes> &planes_names() {
    static const std::map<std::string, Planes> names = {
        {"tiny", Planes::Tiny}, {"small", Planes::Small}, {"large", Planes::Large}};
    return names;
}

constexpr int kRowsPerChunk = 32;
constexpr int lanes_of(Planes p) { return p == Planes::Tiny ? 1 : p == Planes::Small ? 16 : 64; }

// Chunks whose M2 leaves this range are summed again in double: squares of float overflow or lose bits beyond it.
constexpr double kLeastM2 = 1e-30, kGreatestM2 = 1e38;

// Position, reduced plane, group; lane, chunk of a plane, chunk of planes.
struct Axes {
    Var s{"s"}, r{"r"}, g0{"g0"}, g1{"g1"}, l{"l"}, k{"k"}, m{"m"};
};

// Lane sums of one chunk quantity and the tree that adds them up.
struct LaneSum {
    Func lanes;              // (l, k, m, g0, g1): init, an update over `rows` and, but for one lane, one over `last`
    std::vector<Func> tree;  // (l, k, m, g0, g1), halving; empty for one lane
    RDom rows;               // x: full row within the chunk, y: plane within the chunk
    RDom last;               // x: plane within the chunk
};

// The reduction: moments of every group.
struct Reduction {
    Axes v;
    Planes planes;
    Func pivot;           // (k, m, g0, g1)      first element of the chunk
    LaneSum sum;          //                     of x - pivot
    Func center;          // (k, m, g0, g1)      chunk's mean, rounded to float
    LaneSum squares;      //                     of d and d*d, d = x - center
    Func raw;             // (k, m, g0, g1)      mean and M2 from `squares`
    Func in_range;        // (k, m, g0, g1)      0: out of float's range, sum again in double
    LaneSum redone;       //                     of d and d*d in double
    Func double_squares;  // (k, m, g0, g1)      the totals of `redone`; but for tiny planes an update over `again`
    RDom again;
    Func chunk;               // (k, m, g0, g1)      mean and M2
    Func mean_sum, mean, m2;  // (g0, g1)            merged; init and one update over `chunks` in mean_sum and m2
    RDom chunks;              // x: k, y: m
    Expr total;               // elements of a group, double
};

// The pointwise part's coefficients of each group: y = (x - m) * a + b.
struct Coefficients {
    Func value;  // (g0, g1): m, a, b
};

namespace detail {

inline Expr keep_below(Expr index, const Expr &extent) { return unsafe_promise_clamped(index, 0, extent - 1); }

// f(args) = values, as a plain value or a tuple.
inline void define(Func f, const std::vector<Var> &args, const std::vector<Expr> &values) {
    if (values.size() == 1) {
        f(args) = values[0];
    } else {
        f(args) = Tuple(values);
    }
}

// f(args) as one expression for each element of its tuple.
inline std::vector<Expr> elements(const Func &f, const std::vector<Expr> &args) {
    std::vector<Expr> values;
    for (int i = 0; i < f.outputs(); i++) values.push_back(f.outputs() == 1 ? Expr(f(args)) : Expr(f(args)[i]));
    return values;
}

inline std::vector<Expr> sums(const std::vector<Expr> &a, const std::vector<Expr> &b) {
    std::vector<Expr> values;
    for (size_t i = 0; i < a.size(); i++) values.push_back(a[i] + b[i]);
    return values;
}

// Adds lanes l and l + w for w = L/2, L/4, ..., 4, each level a Func.
inline void add_tree(LaneSum &sum, const Axes &v, int lanes, const std::string &name) {
    const auto lane = [&](const Func &f, const Expr &l) { return elements(f, {l, v.k, v.m, v.g0, v.g1}); };
    Func level = sum.lanes;
    for (int w = lanes / 2; w >= 4; w /= 2) {
        Func next(name + "_tree_" + std::to_string(w));
        define(next, {v.l, v.k, v.m, v.g0, v.g1}, sums(lane(level, v.l), lane(level, v.l + w)));
        sum.tree.push_back(next);
        level = next;
    }
}

// The last four lanes, added where the total is used, so that a schedule may vectorize that across groups. `zero` is 0, or
// a variable of which no more is known.
inline std::vector<Expr> total(const LaneSum &sum, const Axes &v, int lanes, const Expr &zero = 0) {
    const Func &level = sum.tree.empty() ? sum.lanes : sum.tree.back();
    const auto lane = [&](int l) {
        return elements(level, {unsafe_promise_clamped(zero + l, 0, 3), v.k, v.m, v.g0, v.g1});
    };
    return lanes == 1 ? elements(level, {0, v.k, v.m, v.g0, v.g1})
                      : sums(sums(lane(0), lane(2)), sums(lane(1), lane(3)));
}

}  // namespace detail

// moments of x(s, r, g0, g1) over s and r
inline Reduction reduce(Func x, const Expr &positions, const Expr &reduced_planes, Planes planes) {
    using detail::keep_below;
    Reduction d;
    d.planes = planes;
    const Axes &v = d.v;
    const Expr S = positions, N = reduced_planes;
    const int L = lanes_of(planes), R = kRowsPerChunk;
    // Only small planes may either share a chunk or fill several: tiny ones have at most R/2 rows, large ones more.
    const bool share = planes != Planes::Large, several = planes != Planes::Tiny;
    const Expr rows = (S + L - 1) / L;
    const Expr planes_per_chunk = share ? max(R / rows, 1) : Expr(1);
    const Expr chunks_of_plane = several ? (rows + R - 1) / R : Expr(1);
    const Expr chunks_of_planes = (N + planes_per_chunk - 1) / planes_per_chunk;
    const auto count = [&](Expr k, Expr m) {
        return cast<double>(min(S - k * (R * L), R * L)) *
               cast<double>(min(N - m * planes_per_chunk, planes_per_chunk));
    };

    // The sum of f(x) over a chunk, lane by lane: the full rows of its planes, then their partial last rows, which are moved
    // back to end with the plane; lanes that the row before has counted add +0. Nothing is summed where not `needed`.
    const Expr full_rows = S / L, last_chunk = chunks_of_plane - 1;
    const auto lane_sum = [&](const std::string &name, auto f, Expr needed = Expr()) {
        const std::vector<Var> args = {v.l, v.k, v.m, v.g0, v.g1};
        LaneSum sum;
        sum.lanes = Func(name);
        const auto add = [&](const Expr &position, const Expr &plane, const Expr &counted) {
            std::vector<Expr> terms = f(x(keep_below(position, S), keep_below(plane, N), v.g0, v.g1)), zeros;
            for (Expr &term : terms) {
                zeros.push_back(cast(term.type(), 0));
                if (counted.defined()) term = select(counted, term, zeros.back());
            }
            if (!sum.lanes.defined()) detail::define(sum.lanes, args, zeros);
            const std::vector<Expr> before = detail::elements(sum.lanes, {args.begin(), args.end()});
            detail::define(sum.lanes, args, detail::sums(before, terms));
        };
        // The conditions compare a loop's variable, so that they become its bound.
        const auto if_needed = [&](const Expr &extent) {
            return needed.defined() ? select(needed, extent, 0) : extent;
        };
        const Expr planes_left = N - v.m * planes_per_chunk;
        sum.rows = RDom(0, min(full_rows, R), 0, planes_per_chunk, name + "_rows");
        if (several) sum.rows.where(sum.rows.x < if_needed(full_rows - v.k * R));
        if (share) sum.rows.where(sum.rows.y < if_needed(planes_left));
        add((v.k * R + sum.rows.x) * L + v.l, v.m * planes_per_chunk + sum.rows.y, Expr());
        if (L > 1) {
            const Expr partial = S % L != 0 && v.k == last_chunk;
            sum.last = RDom(0, planes_per_chunk, name + "_last");
            sum.last.where(sum.last.x < select(partial, if_needed(planes_left), 0));
            add(S - L + v.l, v.m * planes_per_chunk + sum.last.x, S - L + v.l >= full_rows * L);
        }
        detail::add_tree(sum, v, L, name);
        return sum;
    };
    const Expr cnt = count(v.k, v.m);

    d.pivot = Func("pivot");
    d.pivot(v.k, v.m, v.g0, v.g1) = x(keep_below(v.k * (R * L), S), keep_below(v.m * planes_per_chunk, N), v.g0, v.g1);
    const Expr pivot = d.pivot(v.k, v.m, v.g0, v.g1);

    d.sum = lane_sum("sum", [&](Expr e) { return std::vector<Expr>{e - pivot}; });
    d.center = Func("center");
    d.center(v.k, v.m, v.g0, v.g1) =
        cast<float>(cast<double>(pivot) + cast<double>(detail::total(d.sum, v, L)[0]) / cnt);
    const Expr center = d.center(v.k, v.m, v.g0, v.g1);

    const auto corrected = [&](Expr c, Expr e, Expr q) {
        const Expr offset = e / cnt;
        const Expr m2 = q - e * offset;
        return Tuple(c + offset, select(m2 < 0, cast<double>(0), m2));  // this form keeps a NaN
    };
    d.squares = lane_sum("squares", [&](Expr e) {
        const Expr dev = e - center;
        return std::vector<Expr>{dev, dev * dev};
    });
    d.raw = Func("raw");
    const std::vector<Expr> squares = detail::total(d.squares, v, L);
    d.raw(v.k, v.m, v.g0, v.g1) = corrected(cast<double>(center), cast<double>(squares[0]), cast<double>(squares[1]));

    // Only "<" serves here: Halide 21 compiles a <= b as !(b < a), strict_float or not, which is true for a NaN.
    d.in_range = Func("in_range");
    const Expr raw_m2 = d.raw(v.k, v.m, v.g0, v.g1)[1];
    d.in_range(v.k, v.m, v.g0, v.g1) = cast<uint8_t>(Expr(kLeastM2) < raw_m2 && raw_m2 < Expr(kGreatestM2));
    const Expr redo = d.in_range(v.k, v.m, v.g0, v.g1) == 0;
    const Expr finite = (reinterpret<int32_t>(center) & 0x7f800000) != 0x7f800000;
    const Expr safe_center = cast<double>(select(finite, center, pivot));
    d.redone = lane_sum(
        "redone",
        [&](Expr e) {
            const Expr dev = cast<double>(e) - safe_center;
            return std::vector<Expr>{dev, dev * dev};
        },
        planes == Planes::Tiny ? redo : Expr());
    d.double_squares = Func("double_squares");
    if (planes == Planes::Tiny) {
        d.double_squares(v.k, v.m, v.g0, v.g1) = Tuple(detail::total(d.redone, v, L));
    } else {
        // A loop of one step or none: with it all of the sum in double is skipped. Halide hoists no condition that reads a
        // Func, but it turns a comparison with the loop's variable into the loop's bound; and it would drop a loop of
        // extent 1, or one whose variable is not used.
        d.again = RDom(0, 2, "again");
        d.again.where(d.again.x < select(redo, 1, 0));
        d.double_squares(v.k, v.m, v.g0, v.g1) = Tuple(cast<double>(0), cast<double>(0));
        d.double_squares(v.k, v.m, v.g0, v.g1) = Tuple(detail::total(d.redone, v, L, d.again.x));
    }

    d.chunk = Func("chunk");
    const FuncRef raw = d.raw(v.k, v.m, v.g0, v.g1), in_double = d.double_squares(v.k, v.m, v.g0, v.g1);
    const Tuple corrected_double = corrected(safe_center, in_double[0], in_double[1]);
    d.chunk(v.k, v.m, v.g0, v.g1) =
        Tuple(select(redo, corrected_double[0], raw[0]), select(redo, corrected_double[1], raw[1]));

    // Merging in double, about the first chunk's mean: a constant group's mean is exact, whatever the count.
    d.total = cast<double>(S) * cast<double>(N);
    d.chunks = RDom(0, chunks_of_plane, 0, chunks_of_planes, "chunks");
    const Expr pk = d.chunks.x, pm = d.chunks.y;
    const Expr weight = count(pk, pm);
    const Expr chunk_mean = d.chunk(pk, pm, v.g0, v.g1)[0], chunk_m2 = d.chunk(pk, pm, v.g0, v.g1)[1];
    const Expr first_mean = d.chunk(0, 0, v.g0, v.g1)[0];
    d.mean_sum = Func("mean_sum");
    d.mean_sum(v.g0, v.g1) = cast<double>(0);
    d.mean_sum(v.g0, v.g1) += (chunk_mean - first_mean) * weight;
    d.mean = Func("mean_");
    d.mean(v.g0, v.g1) = first_mean + d.mean_sum(v.g0, v.g1) / d.total;
    const Expr off = chunk_mean - d.mean(v.g0, v.g1);
    d.m2 = Func("m2_");
    d.m2(v.g0, v.g1) = cast<double>(0);
    d.m2(v.g0, v.g1) += chunk_m2 + (weight * off) * off;
    return d;
}

// m, a, b of y = (x - m) * a + b, rounded once each from double. Subtracting m first keeps full accuracy where |mean|
// is 100,000 times sigma.
inline Coefficients coefficients(const Axes &v, Expr mean, Expr variance, Expr gamma, Expr beta, Expr eps) {
    Coefficients c;
    c.value = Func("coefficients");
    const Expr m = cast<float>(mean);
    const Expr a = cast<float>(cast<double>(gamma) / sqrt(variance + eps));
    const Expr b = cast<float>(cast<double>(beta) - (mean - cast<double>(m)) * cast<double>(a));
    c.value(v.g0, v.g1) = Tuple(m, a, b);
    return c;
}

inline Expr normalized(Expr x, const FuncRef &coefficients) {
    return (x - coefficients[0]) * coefficients[1] + coefficients[2];
}

}  // namespace hnorm
