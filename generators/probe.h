// The probe of a group, whose mean is the center of its sums (docs/order.md, "The probe").
#pragma once

#include "chunks.h"

namespace hnorm {

constexpr int kMostProbed = 48;  // rows of a probe

// The results of a probe.
struct Probe {
    Axes v;
    PlaneClass planes;
    Func lanes;                 // (l, g0, g1): sums, and greatest magnitudes
    RDom rows;                  // of the probe
    std::vector<Expr> results;  // at (g0, g1)
};

constexpr int probed_neighbours(PlaneClass planes) { return lanes_of(planes) == 1 ? 1 : 4; }

// The number of rows in the probe.
inline Expr rows_probed(const Expr &S, const Expr &N, PlaneClass planes) {
    const Expr T = cast<int64_t>(N) * (S / probed_neighbours(planes));
    return cast<int>((kMostProbed * T + T + kMostProbed - 1) / (T + kMostProbed));
}
// Row i's plane and its first position in it.
inline Tuple place_probed(const Expr &i, const Expr &S, const Expr &N, PlaneClass planes) {
    const int W = probed_neighbours(planes);
    const Expr of_plane = cast<int64_t>(S / W), T = cast<int64_t>(N) * of_plane;
    const Expr count = cast<int64_t>(rows_probed(S, N, planes)), bits = cast<uint32_t>(i) * Expr(2654435769u);
    const Expr hashed = ((bits ^ (bits >> 15)) * Expr(2246822519u)) >> 16;
    const Expr row = (cast<int64_t>(i) * T + cast<int64_t>(hashed) * T / 65536) / count;
    return Tuple(cast<int>(row / of_plane), cast<int>(row % of_plane) * W);
}

// The sums of float terms and the greatest int32 terms, over the probe. places(i) is the place of
// row i, in the form of place_probed().
inline Probe probe_of(const Chunks::Terms &terms, Func places, const Expr &count, const Expr &S, const Expr &N,
                      PlaneClass planes) {
    Probe d;
    d.planes = planes;
    const Axes &v = d.v;
    d.rows = RDom(0, count, "probed");
    const FuncRef place = places(d.rows);
    const std::vector<Expr> values =
        terms(unsafe_promise_clamped(place[1] + v.l, 0, S - 1), unsafe_promise_clamped(place[0], 0, N - 1));
    d.lanes = Func("probed_lanes");
    const auto lane = [&](const Expr &l) { return elements(d.lanes, {l, v.g0, v.g1}); };
    define(d.lanes, {v.l, v.g0, v.g1}, zeros_of(values));
    define(d.lanes, {v.l, v.g0, v.g1}, combined(lane(v.l), values));
    d.results =
        probed_neighbours(planes) == 1 ? lane(0) : combined(combined(lane(0), lane(2)), combined(lane(1), lane(3)));
    return d;
}

}  // namespace hnorm
