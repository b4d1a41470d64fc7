// The groups of a tensor on devices: their sums from numbered runs, their probe, and scales
// (docs/order.md).
#pragma once

#include "gradients.h"
#include "probe.h"

#include <cstring>

namespace hnorm {

// The sums of groups from numbered runs (Numbered), as the schedules see them.
struct GroupSum {
    Reduction by_run;
    Func fetched;  // (g0, a, g1): the runs' sums
    Func total;    // (g0, g1): an update over `runs`
    RDom runs;     // x: the run's number
    Func any;      // of a block that is summed again as a whole: (g1): whether a group of it needs that
    Func whole;    // few channels: (g0, g1), an update over `parts` of totals; else total
    RDom parts;
};

// The groups of x(s, r, g0, g1), with S positions and N planes. There are C groups along g0. With
// few channels, each part is summed as a group (part*C + channel, g1), and then the parts
// are added.
class Groups {
public:
    // by_block: C, a constant, are the groups of a block g1 of the device, which sums all of them
    // again if one needs that.
    Groups(PlaneClass planes, bool few_channels, const Expr &S, const Expr &N, const Expr &C, bool by_block = false)
        : planes(planes), few_channels(few_channels), S(S), N(N), C(C), by_block(by_block) {}

    Expr size() const { return cast<double>(S) * cast<double>(N); }

    // The group of part g0. The clamp tells bounds inference how far g0 goes in a block with
    // numbered threads.
    Expr whole_of(const Expr &g0) const { return unsafe_promise_clamped(few_channels ? g0 % C : g0, 0, C - 1); }
    Expr at(const Func &values, int element) const { return values(whole_of(v.g0), v.g1)[element]; }

    // x by its parts.
    Func seen(Func x) const {
        if (!few_channels) return x;
        Func parts("parts");
        const Expr part = v.g0 / C;
        const Expr position = select(part < kParts, v.s * kParts + part, S / kParts * kParts + v.s);
        parts(v.s, v.r, v.g0, v.g1) = x(unsafe_promise_clamped(position, 0, S - 1), v.r, whole_of(v.g0), v.g1);
        return parts;
    }

    // The sums over the groups. by_run makes a reduction from chunks and a Func of runs. If
    // `needed` is defined, only the parts g0 for which it is true are summed. The runs have what is
    // carried, too.
    GroupSum sum(const std::function<Reduction(const Chunks &, Func)> &by_run, const std::string &name,
                 const Expr &needed, const std::vector<Expr> &carried) const {
        GroupSum d;
        const Numbered numbered = {true, few_channels, by_block ? Expr() : needed, carried};
        const Chunks chunks = cut(few_channels ? select(v.g0 / C < kParts, S / kParts, S % kParts) : S, numbered);
        d.by_run = by_run(chunks, Func(name + "_runs"));
        // With few channels, a remainder may have more runs than a part.
        const Expr count =
            few_channels ? max(cut(S / kParts, numbered).runs(), cut(S % kParts, numbered).runs()) : chunks.runs();
        d.runs = RDom(0, count, name + "_all");
        if (by_block && needed.defined()) {
            RDom group(0, C, "group");
            d.any = Func(name + "_any");
            d.any(v.g1) = 0;
            d.any(v.g1) = max(d.any(v.g1), cast<int>(Internal::substitute(v.g0.name(), group, needed)));
            d.runs.where(d.any(v.g1) != 0);
        }
        std::vector<Expr> sums = elements(d.by_run.runs, {v.g0, v.a, v.g1});
        sums.resize(d.by_run.run.outputs());
        d.fetched = Func(name + "_fetched");
        define(d.fetched, {v.g0, v.a, v.g1}, sums);
        d.total = Func(name + "_total");
        accumulate(d.total, {v.g0, v.g1}, elements(d.fetched, {v.g0, d.runs.x, v.g1}));
        d.whole = d.total;
        if (few_channels) {
            d.parts = RDom(0, select(S % kParts == 0, kParts, kParts + 1), name + "_parts");
            d.whole = Func(name);
            const Expr part = unsafe_promise_clamped(d.parts.x * C + v.g0, 0, kMostColumns - 1);
            accumulate(d.whole, {v.g0, v.g1}, elements(d.total, {part, v.g1}));
        }
        return d;
    }

    const PlaneClass planes;
    const bool few_channels;
    const Expr S, N, C;
    const bool by_block;
    static constexpr int kParts = 32;
    // The columns that few channels make at most, of 15 channels.
    static constexpr int kMostColumns = 15 * (kParts + 1);

private:
    Chunks cut(const Expr &positions, const Numbered &numbered) const {
        return Chunks(v, planes, positions, N, numbered);
    }
    Axes v;
};

// docs/order.md, "Scales", by magnitudes.
inline int bits_of(float value) {
    int bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}
inline Expr is_between(const Expr &magnitude, float least, float greatest) {
    return bits_of(least) <= magnitude && magnitude <= bits_of(greatest);
}
inline Expr exponent(const Expr &magnitude) { return (magnitude >> 23) - 127; }
inline Expr scale_of_exponent(const Expr &e) {
    return reinterpret<float>((127 - ((clamp(e, -100, 74) + 8) & ~15)) << 23);
}
inline Expr scale(const Expr &magnitude) {
    return select(magnitude == 0, 1.0f, scale_of_exponent(exponent(magnitude)));
}
inline Expr is_ordinary(const Expr &spread) { return is_between(spread, 0x1p-40f, 0x1p40f); }
// The bits of a double without its sign, to compare magnitudes. Halide 21 compiles a <= b so that
// it is true for a NaN.
inline Expr magnitude_of_double(const Expr &value) {
    return reinterpret<int64_t>(value) & Expr(int64_t{0x7fffffffffffffff});
}
inline Expr bits_of_double(double value) {
    int64_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return Expr(bits);
}

// The center of a group, from the sums of the probe and its first element.
inline Expr center_of(const Probe &probe, const Expr &first, const Groups &of) {
    const Expr count = rows_probed(of.S, of.N, of.planes) * probed_neighbours(of.planes);
    return cast<float>(cast<double>(first) + cast<double>(probe.results[0]) / cast<double>(count));
}

// Over the probe, of terms at a position of a plane.
inline Probe probe_of_groups(const Chunks::Terms &terms, const Groups &of) {
    Func places("places");
    const Var i("i");
    places(i) = place_probed(i, of.S, of.N, of.planes);
    return probe_of(terms, places, rows_probed(of.S, of.N, of.planes), of.S, of.N, of.planes);
}

// The first probe of a group, and the probe of x*scale if the spread of the first is not
// ordinary.
struct FirstProbe {
    Func elements;  // (l, i, g0, g1): the probe's, neighbour l of row i
    Probe once, scaled;
    Func scale;  // (g0, g1)
    Func about;  // (g0, g1): center, scale, spread's bits
};

inline FirstProbe first_probe(Func x, const Groups &of, const Products &times) {
    FirstProbe d;
    const Axes v;
    const Var i("i");
    const Expr count = rows_probed(of.S, of.N, of.planes), first = x(0, 0, v.g0, v.g1);
    const Tuple place = place_probed(i, of.S, of.N, of.planes);
    d.elements = Func("elements");
    d.elements(v.l, i, v.g0, v.g1) = x(unsafe_promise_clamped(place[1] + v.l, 0, of.S - 1),
                                       unsafe_promise_clamped(place[0], 0, of.N - 1), v.g0, v.g1);
    const auto probe = [&](const Expr &scale) {
        const auto scaled = [&](const Expr &value) { return scale.defined() ? times(value, scale) : value; };
        Func in_order("rows");  // of the elements
        in_order(i) = Tuple(i, 0);
        return probe_of(
            [&](Expr l, Expr row) {
                const Expr difference = scaled(d.elements(l, row, v.g0, v.g1)) - scaled(first);
                return std::vector<Expr>{difference, magnitude(difference)};
            },
            in_order, count, probed_neighbours(of.planes), count, of.planes);
    };
    d.once = probe(Expr());
    d.scale = Func("scale");
    d.scale(v.g0, v.g1) = select(is_ordinary(d.once.results[1]), 1.0f, scale(d.once.results[1]));
    const Expr factor = d.scale(v.g0, v.g1);
    d.scaled = probe(factor);
    d.about = Func("about");
    d.about(v.g0, v.g1) =
        Tuple(select(factor == 1.0f, center_of(d.once, first, of), center_of(d.scaled, times(first, factor), of)),
              factor, d.once.results[1]);
    return d;
}

}  // namespace hnorm
