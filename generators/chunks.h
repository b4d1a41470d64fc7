// The order of summation (docs/order.md): the view, the chunks, lanes and trees. What is summed is others' matter.
#pragma once

#include <Halide.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace hnorm {

using namespace Halide;

// Shape classes: constants of the order of summation. Last and LastTiny are channels-last: channels next to each other in
// memory.
enum class Planes { Tiny, Small, Large, Last, LastTiny };

inline const std::map<std::string, Planes> &planes_names() {
    static const std::map<std::string, Planes> names = {
        {"tiny", Planes::Tiny}, {"small", Planes::Small},        {"large", Planes::Large},
        {"last", Planes::Last}, {"last_tiny", Planes::LastTiny},
    };
    return names;
}

constexpr int kRowsPerChunk = 32, kPlanesPerChunk = 16, kChunksPerRun = 16;  // at most
constexpr bool tiny(Planes p) { return p == Planes::Tiny || p == Planes::LastTiny; }
constexpr bool channels_last(Planes p) { return p == Planes::Last || p == Planes::LastTiny; }
constexpr int kLastLanes = 4;
constexpr int lanes_of(Planes p) { return tiny(p) ? 1 : p == Planes::Last ? kLastLanes : p == Planes::Small ? 16 : 64; }

// Sums of squares or products outside this range are taken again in double: float overflows or loses bits beyond it.
constexpr double kLeastInRange = 1e-30, kGreatestInRange = 1e38;
// As they are where the center is so far from the mean that (mean - center)^2 is an eighth of the squares' mean or more.
constexpr double kFarCenter = 8;

// The product of two floats or doubles that a sum takes. Compilers of GPUs fuse such a pair, whatever Halide tells them, and
// round once where docs/order.md rounds twice: for them the product passes through an "exclusive or" with `zero`, a parameter
// of the kernel that is 0. Without one it is the plain product.
struct Products {
    Expr zero;

    Expr operator()(const Expr &a, const Expr &b) const {
        const Expr product = a * b;
        if (!zero.defined()) return product;
        const Type bits = Int(product.type().bits());
        return reinterpret(product.type(), reinterpret(bits, product) ^ cast(bits, zero));
    }
};

// Position, reduced plane, group; lane, chunk of a plane, chunk of planes; run of chunks of a plane, of planes.
struct Axes {
    Var s{"s"}, r{"r"}, g0{"g0"}, g1{"g1"}, l{"l"}, k{"k"}, m{"m"}, a{"a"}, b{"b"};
};

// Lane sums of one chunk quantity and the tree that adds them up. In steps, x of `rows` is the pair in its step, y the step, z the
// plane.
struct LaneSum {
    Func lanes;              // (l, k, m, g0, g1): init, an update over `rows` and one over `last`
    std::vector<Func> tree;  // (l, k, m, g0, g1), halving; empty for one lane
    RDom rows;               // x: pair of full rows within the chunk, y: plane within the chunk
    RDom last;               // x: plane within the chunk
};

// A sum over all chunks of a group: over the chunks of each run, and of these.
struct GroupSum {
    Func runs;    // (a, b, g0, g1), or where runs have numbers (number, g0, g1): an update over `chunks`
    RDom chunks;  // x: k, y: m, within the run; or x: chunk of a step, y: step
    Func total;   // (g0, g1): an update over `all`
    RDom all;     // x: a, y: b, or x: the run's number
};

// Any of the reductions, as the schedules see it: what is computed for a chunk, then for a group.
struct Reduction {
    Axes v;
    Planes planes;
    std::vector<Func> given;       // (g0, g1)        of the group, used by the sums; inline unless scheduled
    std::vector<LaneSum> sums;     // in float
    std::vector<Func> of_chunk;    // (k, m, g0, g1)
    LaneSum redone;                // in double, where out of float's range
    Func in_double;                // (k, m, g0, g1)  totals of `redone`; but for tiny planes an update over `again`
    RDom again;                    // one step, or none
    Func chunk;                    // (k, m, g0, g1)  the chunk's result
    std::vector<GroupSum> merged;  // chunks, in the order in which they are needed
    std::vector<Func> of_group;    // (g0, g1)        what else is computed of them
    Expr K, M;                     // extents of k and m
    std::vector<Func> for_chunks;  // (g0, g1)      what the sums take of the group
    // Conditions, one of which holds, by which the sums in float and for_chunks differ; the first makes them simplest.
    std::vector<Expr> variants;
};

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

inline std::vector<Expr> sums_of(const std::vector<Expr> &a, const std::vector<Expr> &b) {
    std::vector<Expr> values;
    for (size_t i = 0; i < a.size(); i++) values.push_back(a[i] + b[i]);
    return values;
}

inline std::vector<Expr> zeros_of(const std::vector<Expr> &terms) {
    std::vector<Expr> values;
    for (const Expr &term : terms) values.push_back(cast(term.type(), 0));
    return values;
}

// The terms where the condition holds, else 0.
inline std::vector<Expr> counted(const Expr &condition, const std::vector<Expr> &terms) {
    std::vector<Expr> values = zeros_of(terms);
    for (size_t i = 0; i < terms.size(); i++) values[i] = select(condition, terms[i], values[i]);
    return values;
}

// How loops of sums are written for devices: runs of chunks have numbers, in the order of merging, and what a thread adds may come
// in steps of constant size, so that it can load all of a step before it adds. Where a step is not full, +0 is added, which
// changes no sum: none is -0, since all begin with +0.
struct Steps {
    int pairs = 0, chunks = 0;  // of rows, of chunks a step; 1: no steps, 0: not for devices
    bool on_device() const { return pairs > 0; }
};

// How groups of N planes of S positions are cut into chunks, and how a chunk is summed.
class Chunks {
public:
    // What is summed, an expression for each element of the result, at a position of a plane of group (g0, g1).
    using Terms = std::function<std::vector<Expr>(Expr position, Expr plane)>;

    Chunks(const Axes &axes, Planes planes, const Expr &S, const Expr &N, const Steps &steps)
        : v(axes),
          planes(planes),
          S(S),
          N(N),
          L(lanes_of(planes)),
          // Only small planes may either share a chunk or fill several: tiny ones have at most R/2 rows, large ones more.
          share(planes != Planes::Large),
          several(!tiny(planes)),
          steps(steps) {
        const Expr rows = (S + L - 1) / L;
        full_rows = S / L;
        planes_per_chunk = share ? min(max(R / rows, 1), kPlanesPerChunk) : Expr(1);
        chunks_of_plane = several ? (rows + R - 1) / R : Expr(1);
        chunks_of_planes = (N + planes_per_chunk - 1) / planes_per_chunk;
    }

    // Chunks of a plane, chunks of planes: extents of k and m.
    Expr K() const { return chunks_of_plane; }
    Expr M() const { return chunks_of_planes; }

    // Elements of a group, of a chunk.
    Expr total() const { return cast<double>(S) * cast<double>(N); }
    Expr count(const Expr &k, const Expr &m) const {
        return cast<double>(min(S - k * (R * L), R * L)) *
               cast<double>(min(N - m * planes_per_chunk, planes_per_chunk));
    }

    // The chunk's first element.
    Expr first_position() const { return keep_below(v.k * (R * L), S); }
    Expr first_plane() const { return keep_below(v.m * planes_per_chunk, N); }

    // The sum over a chunk, lane by lane: the full pairs of rows of its planes, then what is left of them, a row or two, which
    // are moved back to end with the plane; lanes that the row before has counted add +0. Nothing is summed where not `needed`.
    // sample: of about every second pair only (sampled()).
    LaneSum lane_sum(const std::string &name, const Terms &terms_at, const Expr &needed = Expr(),
                     bool sample = false) const {
        LaneSum sum;
        sum.lanes = Func(name);
        const auto terms = [&](const Expr &position, const Expr &plane) {
            return terms_at(keep_below(position, S), keep_below(plane, N));
        };
        const std::vector<Var> args = {v.l, v.k, v.m, v.g0, v.g1};
        const auto add = [&](const std::vector<Expr> &terms) {
            if (!sum.lanes.defined()) define(sum.lanes, args, zeros_of(terms));
            define(sum.lanes, args, sums_of(elements(sum.lanes, {args.begin(), args.end()}), terms));
        };
        // The conditions compare a loop's variable, so that they become its bound.
        const auto if_needed = [&](const Expr &extent) {
            return needed.defined() ? select(needed, extent, 0) : extent;
        };
        const Expr planes_left = N - v.m * planes_per_chunk;
        const Expr all = min(full_rows, R) / 2, most = sample ? (all + 1) / 2 : all;
        const Expr pairs = sample ? (pairs_of_chunk() + 1) / 2 : several ? (full_rows - v.k * R) / 2 : all;
        const auto add_pair = [&](const Expr &number, const Expr &plane, const Expr &is_one) {
            const Expr pair = sample ? sampled(number) : number;
            const Expr first = (v.k * R + 2 * pair) * L + v.l, r = v.m * planes_per_chunk + plane;
            const std::vector<Expr> sums = sums_of(terms(first, r), terms(first + L, r));
            add(is_one.defined() ? counted(is_one, sums) : sums);
        };
        if (steps.pairs > 1 && !needed.defined()) {
            const int step = steps.pairs;
            sum.rows = RDom(0, step, 0, (most + step - 1) / step, 0, planes_per_chunk, name + "_rows");
            sum.rows.where(sum.rows.y * step < pairs);
            if (share) sum.rows.where(sum.rows.z < planes_left);
            const Expr pair = sum.rows.y * step + sum.rows.x;
            add_pair(min(pair, pairs - 1), sum.rows.z, pair < pairs);
        } else {
            sum.rows = RDom(0, most, 0, planes_per_chunk, name + "_rows");
            if (several) sum.rows.where(sum.rows.x < if_needed(pairs));
            if (share) sum.rows.where(sum.rows.y < if_needed(planes_left));
            add_pair(sum.rows.x, sum.rows.y, Expr());
        }

        const Expr row = full_rows / 2 * 2;  // the first of what is left
        const Expr is_left = row * L < S && v.k == chunks_of_plane - 1;
        const Expr left = sample ? is_left && pairs_of_chunk() == 0 : is_left;
        sum.last = RDom(0, planes_per_chunk, name + "_last");
        sum.last.where(sum.last.x < select(left, if_needed(planes_left), 0));
        const auto moved_back = [&](const Expr &start) {
            // Where something is left, the chunk ends with the plane: said so, it asks for no position far from its own.
            const Expr end = min((v.k + 1) * (R * L), S);
            const Expr position = min(start, end - L) + v.l;
            return counted(position >= start, terms(position, v.m * planes_per_chunk + sum.last.x));
        };
        add(L == 1 ? moved_back(row) : sums_of(moved_back(row * L), moved_back(row * L + L)));
        add_tree(sum, name);
        return sum;
    }

    // How many elements such a sample has, and the number of its pair i, which starts as the numbers with an even count of ones in
    // binary: 0, 3, 5, 6, 9, 10, 12, 15. No linear or quadratic trend shifts their mean, no period of 2, 4 or 8 pairs.
    Expr sampled_count(const Expr &k, const Expr &m) const {
        const Expr pairs = (pairs_of_chunk() + 1) / 2;
        const Expr of_planes = cast<double>(min(N - m * planes_per_chunk, planes_per_chunk));
        return select(pairs > 0, cast<double>(pairs * (2 * L)) * of_planes, count(k, m));
    }
    Expr sampled(const Expr &i) const { return min(2 * i + ((i ^ (i >> 1) ^ (i >> 2)) & 1), pairs_of_chunk() - 1); }

    // The last four lanes, added where the total is used, so that a schedule may vectorize that across groups. `zero` is 0,
    // or a variable of which no more is known.
    std::vector<Expr> total(const LaneSum &sum, const Expr &zero = 0) const {
        const Func &level = sum.tree.empty() ? sum.lanes : sum.tree.back();
        const auto lane = [&](int l) {
            return elements(level, {unsafe_promise_clamped(zero + l, 0, std::min(L, 4) - 1), v.k, v.m, v.g0, v.g1});
        };
        return L == 1   ? elements(level, {0, v.k, v.m, v.g0, v.g1})
               : L == 2 ? sums_of(lane(0), lane(1))
                        : sums_of(sums_of(lane(0), lane(2)), sums_of(lane(1), lane(3)));
    }

    // Two sums of doubles, taken only where `redo`: sets redone, in_double and again.
    void sum_in_double(Reduction &d, const Expr &redo, const Terms &terms_at) const {
        d.redone = lane_sum("redone", terms_at, tiny(planes) ? redo : Expr());
        d.in_double = Func("in_double");
        if (tiny(planes)) {
            d.in_double(v.k, v.m, v.g0, v.g1) = Tuple(total(d.redone));
            return;
        }
        // A loop of one step or none: with it all of the sum in double is skipped. Halide hoists no condition that reads a
        // Func, but it turns a comparison with the loop's variable into the loop's bound; and it would drop a loop of
        // extent 1, or one whose variable is not used.
        d.again = RDom(0, 2, "again");
        d.again.where(d.again.x < select(redo, 1, 0));
        d.in_double(v.k, v.m, v.g0, v.g1) = Tuple(cast<double>(0), cast<double>(0));
        d.in_double(v.k, v.m, v.g0, v.g1) = Tuple(total(d.redone, d.again.x));
    }

    // The sum over all chunks of a group of what is at (k, m), run by run.
    GroupSum sum_of_group(const std::string &name, const Terms &terms_at) const {
        constexpr int most = kChunksPerRun;
        const Expr planes_of_run =
            several ? max(most / K(), 1) : Expr(most);  // runs are of several planes, or of a part of one
        const Expr runs_of_plane = several ? (K() + most - 1) / most : Expr(1);
        const Expr runs_of_planes = (M() + planes_of_run - 1) / planes_of_run;
        const bool numbered = steps.on_device();
        const Expr a = numbered && several ? v.a % runs_of_plane : numbered ? Expr(0) : v.a;
        const Expr b = numbered && several ? v.a / runs_of_plane : numbered ? v.a : v.b;

        GroupSum sum;
        const Expr width = several ? min(K(), most) : Expr(1), planes = min(planes_of_run, M() - b * planes_of_run);
        Expr k, m, is_one;  // within the run
        if (steps.chunks > 1) {
            const int step = steps.chunks;
            const Expr count = several ? min(width, K() - a * most) * planes : planes;
            sum.chunks = RDom(0, step, 0, most / step, name + "_chunks");
            sum.chunks.where(sum.chunks.y * step < count);
            const Expr number = sum.chunks.y * step + sum.chunks.x, i = min(number, count - 1);
            is_one = number < count;
            k = several ? i % width : Expr(0);
            m = several ? i / width : i;
        } else {
            sum.chunks = RDom(0, width, 0, planes_of_run, name + "_chunks");
            if (several) sum.chunks.where(sum.chunks.x < K() - a * most);
            sum.chunks.where(sum.chunks.y < planes);
            k = sum.chunks.x;
            m = sum.chunks.y;
        }
        std::vector<Expr> terms = terms_at(keep_below(a * most + k, K()), keep_below(b * planes_of_run + m, M()));
        if (is_one.defined()) terms = counted(is_one, terms);
        const auto add = [](Func f, const std::vector<Var> &args, const std::vector<Expr> &terms) {
            define(f, args, zeros_of(terms));
            define(f, args, sums_of(elements(f, {args.begin(), args.end()}), terms));
        };
        std::vector<Var> run = {v.a, v.g0, v.g1};
        if (!numbered) run.insert(run.begin() + 1, v.b);
        sum.runs = Func(name + "_runs");
        add(sum.runs, run, terms);

        sum.all = numbered ? RDom(0, runs_of_plane * runs_of_planes, name + "_all")
                           : RDom(0, runs_of_plane, 0, runs_of_planes, name + "_all");
        sum.total = Func(name);
        std::vector<Expr> of_run = {sum.all.x, v.g0, v.g1};
        if (!numbered) of_run.insert(of_run.begin() + 1, sum.all.y);
        add(sum.total, {v.g0, v.g1}, elements(sum.runs, of_run));
        return sum;
    }

private:
    // Full pairs of rows of a plane in chunk k.
    Expr pairs_of_chunk() const { return min((full_rows - v.k * R) / 2, R / 2); }

    static Expr keep_below(const Expr &index, const Expr &extent) {
        return unsafe_promise_clamped(index, 0, extent - 1);
    }

    // Adds lanes l and l + w for w = L/2, L/4, ..., 4, each level a Func.
    void add_tree(LaneSum &sum, const std::string &name) const {
        const auto lane = [&](const Func &f, const Expr &l) { return elements(f, {l, v.k, v.m, v.g0, v.g1}); };
        Func level = sum.lanes;
        for (int w = L / 2; w >= 4; w /= 2) {
            Func next(name + "_tree_" + std::to_string(w));
            define(next, {v.l, v.k, v.m, v.g0, v.g1}, sums_of(lane(level, v.l), lane(level, v.l + w)));
            sum.tree.push_back(next);
            level = next;
        }
    }

    static constexpr int R = kRowsPerChunk;
    Axes v;
    Planes planes;
    Expr S, N;
    int L;
    bool share, several;
    Steps steps;
    Expr full_rows, planes_per_chunk, chunks_of_plane, chunks_of_planes;
};

}  // namespace hnorm
