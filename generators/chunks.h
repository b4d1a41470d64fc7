// The order of summation (docs/order.md): the view, chunks and runs, lanes and trees.
// algorithm.h and gradients.h say which terms are summed.
#pragma once

#include <Halide.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace hnorm {

using namespace Halide;

// The shape classes, which the constants of the order of summation depend on. Last is
// channels-last: channels next to each other in memory.
enum class PlaneClass { Tiny, Small, Large, Last };

inline const std::map<std::string, PlaneClass> &planes_names() {
    static const std::map<std::string, PlaneClass> names = {{"tiny", PlaneClass::Tiny},
                                                            {"small", PlaneClass::Small},
                                                            {"large", PlaneClass::Large},
                                                            {"last", PlaneClass::Last}};
    return names;
}

constexpr bool channels_last(PlaneClass p) { return p == PlaneClass::Last; }
constexpr int lanes_of(PlaneClass p) { return p == PlaneClass::Small ? 16 : p == PlaneClass::Large ? 64 : 1; }
constexpr int rows_of(PlaneClass p) { return p == PlaneClass::Large ? 16 : 32; }  // of a chunk, at most
constexpr int kFour = 4;                                                          // rows that are added together
constexpr int kChunksPerRun = 8, kPlanesPerChunk = 8, kPlanesPerRun = 32;         // at most

// s: position. r: reduced plane. (g0, g1): group. l: lane. k, m: chunk along a plane, and across
// planes. a, b: run, likewise.
struct Axes {
    Var s{"s"}, r{"r"}, g0{"g0"}, g1{"g1"}, l{"l"}, k{"k"}, m{"m"}, a{"a"}, b{"b"};
};

// The bits of |value|. As integers they have the order of the magnitudes. A NaN is greater than
// infinity.
inline Expr magnitude(const Expr &value) { return reinterpret<int32_t>(value) & 0x7fffffff; }

// Lane sums of one chunk and the tree that adds them up.
struct LaneSum {
    Func lanes;              // (l, k, m, g0, g1): zeros, then an update over `rows` and one over each of `last`
    std::vector<Func> tree;  // (l, k, m, g0, g1), halving down to four lanes
    RDom rows;               // x: four of full rows within the chunk, y: plane within the chunk
    std::vector<RDom> last;  // x: plane within the chunk
};

// A reduction, as the schedules see it. Its result is an output of the kernel: for each run, sums
// in double and greatest magnitudes. If chunks and runs are numbered (Numbered), lanes are at
// (l, k, a, g0, g1) and runs at (g0, a, g1).
struct Reduction {
    Axes v;
    PlaneClass planes;
    LaneSum sum;
    RDom chunks;  // the chunks of a run. x: along a plane, y: across planes. Numbered, x: the number
    Func chunk;   // (k, a, g0, g1): the sums over a chunk, where chunks are numbered
    Func run;     // (g0, a, b, g1): an update over `chunks`
    Func runs;    // (g0, a, b, g1): the same, as the kernel gives it
    Expr S, N;    // positions of a plane, planes of a group
    Expr A, B;    // extents of a and b
    // Conditions, of which one always holds. The loops have a variant for each; the first is the
    // simplest.
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

// Element by element: the sum of floats or doubles, the greater of two magnitudes.
inline std::vector<Expr> combined(const std::vector<Expr> &a, const std::vector<Expr> &b) {
    std::vector<Expr> values;
    for (size_t i = 0; i < a.size(); i++) values.push_back(a[i].type().is_float() ? a[i] + b[i] : max(a[i], b[i]));
    return values;
}
inline std::vector<Expr> zeros_of(const std::vector<Expr> &terms) {
    std::vector<Expr> values;
    for (const Expr &term : terms) values.push_back(cast(term.type(), 0));
    return values;
}

// The greatest power of two that is at most `value`, of 1 to 15.
inline Expr power_below(const Expr &value) { return select(value >= 8, 8, value >= 4, 4, value >= 2, 2, 1); }

// Adds an update to f: f(args) becomes combined(f(args), values). Before the first update f is 0.
inline void accumulate(Func f, const std::vector<Var> &args, const std::vector<Expr> &values) {
    if (!f.defined()) define(f, args, zeros_of(values));
    define(f, args, combined(elements(f, {args.begin(), args.end()}), values));
}

// How kernels of devices number chunks and runs, in the order of summation: k is the number of a
// chunk in its run, a is the number of a run in its group. A number without a chunk or run adds +0.
// This changes no sum, because every sum starts at +0.
struct Numbered {
    bool on = false;
    bool varies = false;  // Groups have different S. The bounds of loops hold for every S.
    // If this is defined, a thread sums all lanes of a chunk, and groups for which it is false are
    // not summed.
    Expr needed;
    // What runs have besides their sums: values of their group (g0, g1).
    std::vector<Expr> carried;
};

// How groups of N planes of S positions are cut into chunks and runs, and how they are summed.
// Terms of type float are added. Terms of type int32 are magnitudes, and the greatest is kept.
class Chunks {
public:
    // The terms at a position of a plane of group (g0, g1): an expression for each element of the
    // result.
    using Terms = std::function<std::vector<Expr>(Expr position, Expr plane)>;

    Chunks(const Axes &axes, PlaneClass planes, const Expr &S, const Expr &N, const Numbered &numbered = {})
        : v(axes), planes(planes), S(S), N(N), L(lanes_of(planes)), R(rows_of(planes)), numbered(numbered) {
        // Small planes may share a chunk, or may fill several chunks. Tiny planes always have fewer
        // rows than a chunk, and large planes have more.
        share = planes != PlaneClass::Large;
        several = planes != PlaneClass::Tiny;
        const Expr rows = (S + L - 1) / L;
        full_rows = S / L;
        left_rows = rows - full_rows / kFour * kFour;
        P = share ? power_below(min(max(R / rows, 1), kPlanesPerChunk)) : Expr(1);
        K = several ? (rows + R - 1) / R : Expr(1);
        M = (N + P - 1) / P;
        Q = min(power_below(min(max(kChunksPerRun / K, 1), kChunksPerRun)), kPlanesPerRun / P);
        A = several ? (K + kChunksPerRun - 1) / kChunksPerRun : Expr(1);
        B = (M + Q - 1) / Q;
        k = v.k;
        m = v.m;
        if (numbered.on) {
            const Expr width = several ? min(K, kChunksPerRun) : Expr(1);
            k = several ? v.a % A * kChunksPerRun + v.k % width : Expr(0);
            m = (several ? v.a / A : v.a) * Q + (several ? v.k / width : v.k);
            chunks_of_run = numbered.varies ? Expr(kChunksPerRun) : width * min(Q, M);
            // If a run has fewer chunks than numbers, the remaining numbers belong to no plane.
            if (numbered.varies) m = select(v.k < width * Q, m, M);
        }
    }

    Expr runs() const { return A * B; }

    // The sums over each run: sets all of *d but its variants.
    void sum_runs(Reduction *d, Func runs, const Terms &terms) const {
        d->planes = planes;
        d->runs = runs;
        d->S = S;
        d->N = N;
        d->A = A;
        d->B = B;
        d->sum = lane_sum(terms);
        d->run = Func("run");
        std::vector<Var> args = {v.g0, v.a, v.b, v.g1};
        if (numbered.on) {
            args = {v.g0, v.a, v.g1};
            d->chunks = RDom(0, chunks_of_run, "chunks");
            d->chunk = Func("chunk");
            std::vector<Expr> sums = total(d->sum, v.k, v.a);
            if (in_a_thread()) {
                for (Expr &sum : sums) sum = select(numbered.needed, sum, cast(sum.type(), 0));
            }
            define(d->chunk, {v.k, v.a, v.g0, v.g1}, sums);
            accumulate(d->run, args, elements(d->chunk, {d->chunks.x, v.a, v.g0, v.g1}));
        } else {
            d->chunks = RDom(0, min(K, kChunksPerRun), 0, Q, "chunks");
            if (several) d->chunks.where(d->chunks.x < K - v.a * kChunksPerRun);
            d->chunks.where(d->chunks.y < M - v.b * Q);
            accumulate(d->run, args, total(d->sum, v.a * kChunksPerRun + d->chunks.x, v.b * Q + d->chunks.y));
        }
        std::vector<Expr> results = elements(d->run, {args.begin(), args.end()});
        results.insert(results.end(), numbered.carried.begin(), numbered.carried.end());
        define(runs, args, results);
    }

private:
    static Expr keep_below(const Expr &index, const Expr &extent) {
        return unsafe_promise_clamped(index, 0, extent - 1);
    }

    // If a thread takes all lanes, it takes them in an order in which those that the tree adds are
    // neighbours. So it keeps two values of each level of the tree. The l-th lane in this order is
    // number l with its bits reversed.
    bool in_a_thread() const { return numbered.needed.defined(); }
    Expr lane() const {
        if (!in_a_thread() || L == 1) return v.l;
        Expr number = 0;
        for (int bit = 1; bit < L; bit *= 2) number = number + v.l / bit % 2 * (L / 2 / bit);
        return number;
    }

    // The sum over a chunk, lane by lane: chunk (k, m), or chunk k of run a.
    LaneSum lane_sum(const Terms &terms_at) const {
        LaneSum sum;
        sum.lanes = Func("lanes");
        const std::vector<Var> args = {v.l, v.k, numbered.on ? v.a : v.m, v.g0, v.g1};
        const auto terms = [&](const Expr &position, const Expr &plane) {
            return terms_at(keep_below(position, S), keep_below(plane, N));
        };
        const Expr most = numbered.varies ? Expr(kPlanesPerChunk) : P,
                   planes_left = numbered.varies ? min(N - m * P, P) : N - m * P;
        // The conditions compare the variable of a loop, so that Halide makes them the bound of the
        // loop.
        sum.rows = RDom(0, numbered.varies ? Expr(R / kFour) : min(full_rows, R) / kFour, 0, most, "rows");
        if (several) sum.rows.where(sum.rows.x < (full_rows - k * R) / kFour);
        if (share || numbered.on) sum.rows.where(sum.rows.y < planes_left);
        const Expr first = (k * R + kFour * sum.rows.x) * L + lane();
        std::vector<std::vector<Expr>> rows;
        for (int i = 0; i < kFour; i++) rows.push_back(terms(first + i * L, m * P + sum.rows.y));
        accumulate(sum.lanes, args, combined(combined(rows[0], rows[1]), combined(rows[2], rows[3])));

        // The rows that are left. For small planes on CPUs, where these rows cost time, there is a
        // loop for each number of them. At most one of these loops has steps.
        const bool by_count = planes == PlaneClass::Small && !numbered.on;
        for (int count = by_count ? 1 : kFour; count <= kFour; count++) {
            const Expr is_left = k == K - 1 && (by_count ? left_rows == count : left_rows > 0);
            RDom last(0, most, "last_" + std::to_string(count));
            last.where(last.x < select(is_left, planes_left, 0));
            accumulate(sum.lanes, args, left_four(m * P + last.x, count, !by_count, terms));
            sum.last.push_back(last);
        }

        // Adds lanes l and l + w, each level a Func.
        Func level = sum.lanes;
        for (int w = L / 2; w >= 4; w /= 2) {
            Func next("tree_" + std::to_string(w));
            const auto lane = [&](const Expr &l) { return elements(level, {l, args[1], args[2], v.g0, v.g1}); };
            define(next, args,
                   in_a_thread() ? combined(lane(v.l * 2), lane(v.l * 2 + 1)) : combined(lane(v.l), lane(v.l + w)));
            sum.tree.push_back(next);
            level = next;
        }
        return sum;
    }

    // The sum of the rows that are left of a plane, as a four. There are `count` of them, or fewer
    // if may_be_fewer. The last row may be partial. Then it is moved back, so that it ends with the
    // plane, and lanes that the row before has counted add 0. Missing rows add 0 too.
    std::vector<Expr> left_four(const Expr &plane, int count, bool may_be_fewer, const Terms &terms) const {
        const Expr first = full_rows / kFour * kFour;
        std::vector<std::vector<Expr>> rows;
        for (int i = 0; i < count; i++) {
            const Expr start = (first + i) * L;
            if (i < count - 1 && !may_be_fewer) {
                rows.push_back(terms(start + lane(), plane));
                continue;
            }
            const Expr position = min(start, S - L) + lane();
            rows.push_back(terms(position, plane));
            for (Expr &value : rows.back()) value = select(position >= start, value, cast(value.type(), 0));
        }
        if (count == 1) return rows[0];
        const std::vector<Expr> pair = combined(rows[0], rows[1]);
        return count == 2 ? pair : combined(pair, count == 3 ? rows[2] : combined(rows[2], rows[3]));
    }

    // Adds the last four lanes in double. It is an expression and no Func, so that a schedule can
    // vectorize across groups where the total is used.
    std::vector<Expr> total(const LaneSum &sum, const Expr &chunk, const Expr &other) const {
        const Func &level = sum.tree.empty() ? sum.lanes : sum.tree.back();
        const auto lane = [&](int l) {
            std::vector<Expr> values = elements(level, {l, chunk, other, v.g0, v.g1});
            for (Expr &value : values)
                if (value.type().is_float()) value = cast<double>(value);
            return values;
        };
        const int second = in_a_thread() ? 1 : 2;
        return L == 1 ? lane(0) : combined(combined(lane(0), lane(second)), combined(lane(3 - second), lane(3)));
    }

    Axes v;
    PlaneClass planes;
    Expr S, N;
    int L, R;
    Numbered numbered;
    bool share, several;
    Expr full_rows, left_rows;
    Expr P, K, M, Q, A, B;  // docs/order.md, "Chunks and runs"
    Expr k, m, chunks_of_run;
};

}  // namespace hnorm
