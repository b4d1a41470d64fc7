// The sums of groups on devices, and the decisions that follow from them (docs/order.md, "Sums
// about the center"). For CPUs, the runtime decides between kernels. For devices, a kernel does not
// ask the host: it decides itself, and sums groups again if necessary.
#pragma once

#include "gradients.h"

#include <cstring>
#include <limits>

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
inline Expr scale_of_exponent(const Expr &e) { return reinterpret<float>((127 - clamp(e, -100, 74)) << 23); }
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

// The center of a group, from the sums of the sample and its first element.
inline Expr center_of(const Sample &sample, const Expr &first, const Groups &of) {
    const Expr count = rows_sampled(of.S, of.N, of.planes) * sampled_neighbours(of.planes);
    return cast<float>(cast<double>(first) + cast<double>(sample.results[0]) / cast<double>(count));
}

// Over the sample, of terms at a position of a plane.
inline Sample sample_of_groups(const Chunks::Terms &terms, const Groups &of) {
    Func places("places");
    const Var i("i");
    places(i) = place_sampled(i, of.S, of.N, of.planes);
    return sample_of(terms, places, rows_sampled(of.S, of.N, of.planes), of.S, of.N, of.planes);
}

// The first sample of a group, and the sample of x*scale if the spread of the first is not
// ordinary.
struct FirstSample {
    Func elements;  // (l, i, g0, g1): the sample's, neighbour l of row i
    Sample once, scaled;
    Func scale;  // (g0, g1)
    Func about;  // (g0, g1): center, scale, spread's bits
};

inline FirstSample first_sample(Func x, const Groups &of, const Products &times) {
    FirstSample d;
    const Axes v;
    const Var i("i");
    const Expr count = rows_sampled(of.S, of.N, of.planes), first = x(0, 0, v.g0, v.g1);
    const Tuple place = place_sampled(i, of.S, of.N, of.planes);
    d.elements = Func("elements");
    d.elements(v.l, i, v.g0, v.g1) = x(unsafe_promise_clamped(place[1] + v.l, 0, of.S - 1),
                                       unsafe_promise_clamped(place[0], 0, of.N - 1), v.g0, v.g1);
    const auto sample = [&](const Expr &scale) {
        const auto scaled = [&](const Expr &value) { return scale.defined() ? times(value, scale) : value; };
        Func in_order("rows");  // of the elements
        in_order(i) = Tuple(i, 0);
        return sample_of(
            [&](Expr l, Expr row) {
                const Expr difference = scaled(d.elements(l, row, v.g0, v.g1)) - scaled(first);
                return std::vector<Expr>{difference, magnitude(difference)};
            },
            in_order, count, sampled_neighbours(of.planes), count, of.planes);
    };
    d.once = sample(Expr());
    d.scale = Func("scale");
    d.scale(v.g0, v.g1) = select(is_ordinary(d.once.results[1]), 1.0f, scale(d.once.results[1]));
    const Expr factor = d.scale(v.g0, v.g1);
    d.scaled = sample(factor);
    d.about = Func("about");
    d.about(v.g0, v.g1) =
        Tuple(select(factor == 1.0f, center_of(d.once, first, of), center_of(d.scaled, times(first, factor), of)),
              factor, d.once.results[1]);
    return d;
}

// The sums of groups, as the schedules see them.
struct DeviceReduction {
    bool has_sample = false;
    FirstSample sample;
    std::vector<GroupSum> sums;  // the first, and those taken again
    std::vector<Func> of_group;  // (g0, g1): what is decided between them
    Sample sample_again;         // for the second of these, rarely
    std::vector<Func> of_first;  // (g0, g1): what the first sums alone need of groups, besides the sample
};

inline Tuple device_moments(DeviceReduction &d, Func x, const Groups &of, const Products &times) {
    const Axes v;
    const Func parts = of.seen(x);
    d.has_sample = true;
    d.sample = first_sample(x, of, times);
    const Func about = d.sample.about;
    // What the first sums know of a group is known to what follows them: it may be another program,
    // and then their runs carry it.
    const auto carried = [&] {
        if (of.by_block) return std::vector<Expr>();
        return std::vector<Expr>{of.at(about, 0), of.at(about, 1), of.at(about, 2)};
    };
    const auto sums = [&](const Func &about, const std::string &name, const Func &needed) {
        const Expr is_needed =
            needed.defined() ? needed(of.few_channels ? of.whole_of(v.g0) : v.g0, v.g1)[0] != 0 : Expr();
        d.sums.push_back(of.sum(
            [&](const Chunks &chunks, Func runs) {
                return sums_about(chunks, parts, runs, of.at(about, needed.defined() ? 1 : 0),
                                  of.at(about, needed.defined() ? 2 : 1), times);
            },
            name, is_needed, needed.defined() ? std::vector<Expr>() : carried()));
        return d.sums.back().whole;
    };
    const auto decision = [&](const std::string &name) {
        d.of_group.push_back(Func(name));
        return d.of_group.back();
    };
    const auto value = [&](const Func &f, int element) { return Expr(f(v.g0, v.g1)[element]); };
    const auto newer = [&](const Func &decided, const Func &sums, const Expr &before, int element) {
        return select(value(decided, 0) != 0, value(sums, element), before);
    };

    // 1. The range.
    const Func first = sums(about, "first", Func());
    Func known = about;
    if (!of.by_block) {
        const std::vector<Expr> run = elements(d.sums[0].by_run.runs, {v.g0, 0, v.g1});
        known = Func("known");
        known(v.g0, v.g1) = Tuple(std::vector<Expr>(run.end() - about.outputs(), run.end()));
    }
    const Expr spread = value(known, 2), L = value(first, 2), ordinary = is_ordinary(spread);
    const Expr infinite = bits_of_double(std::numeric_limits<double>::infinity());
    const Expr in_range =
        select(ordinary, magnitude_of_double(value(first, 1)) < infinite, L == 0 || is_between(L, 0x1p-40f, 0x1p50f));
    Func rescaled = decision("rescaled"), range = decision("range");
    const Expr before = value(known, 1);
    rescaled(v.g0, v.g1) =
        Tuple(cast<int>(!in_range), select(in_range, before, ordinary || L >= 0x7f800000, 0x1p-74f,
                                           scale_of_exponent(exponent(L) - exponent(reinterpret<int>(before)))));
    const Expr scale = value(rescaled, 1), start = times(x(0, 0, v.g0, v.g1), scale);
    d.sample_again = sample_of_groups(
        [&](Expr s, Expr r) { return std::vector<Expr>{times(x(s, r, v.g0, v.g1), scale) - start}; }, of);
    range(v.g0, v.g1) =
        Tuple(value(rescaled, 0),
              select(value(rescaled, 0) != 0, center_of(d.sample_again, start, of), value(known, 0)), scale);
    const Func second = sums(range, "second", range);

    // 2. The center.
    const Expr n = of.size(), c = value(range, 1);
    Func center = decision("center");
    const auto offset = [&](const Expr &E) { return E / n; };
    const Expr E2 = newer(range, second, value(first, 0), 0), Q2 = newer(range, second, value(first, 1), 1);
    const Expr product = times(E2, offset(E2)), mean = cast<float>(cast<double>(c) + offset(E2));
    const Expr far = (Q2 - product) * cast<double>(0.5f) < product && mean != c;
    // The scale is `scale`, but that of `range`: Halide 21 gives the shared memory of a value that
    // a loop reads and nobody later to another Func of this loop, which overwrites it for the
    // loop's next step.
    center(v.g0, v.g1) = Tuple(cast<int>(far), select(far, mean, c), value(range, 2), E2, Q2);
    const Func third = sums(center, "third", center);

    // 3. The moments.
    Func ready = decision("moments");
    const Expr E3 = newer(center, third, value(center, 3), 0), Q3 = newer(center, third, value(center, 4), 1);
    const Expr M2 = Q3 - times(E3, offset(E3)), inverse = cast<double>(1) / cast<double>(value(center, 2));
    ready(v.g0, v.g1) = Tuple(times(cast<double>(value(center, 1)) + offset(E3), inverse),
                              (select(M2 < 0, cast<double>(0), M2) * inverse) * inverse);
    return Tuple(value(ready, 0), value(ready, 1));
}

// The sums of dy and of dy*(x - mean), behind the gate. The first sums, which may be another
// program, have a gate of their own, of the same values.
inline Tuple device_gradient_sums(DeviceReduction &d, Func x, Func dy, const Gate &first_gate, const Gate &gate,
                                  const Func &mean, const Groups &of) {
    const Axes v;
    const Products &times = gate.times;
    const Func x_parts = of.seen(x), dy_parts = of.seen(dy);
    const Expr m = cast<float>(Expr(mean(of.whole_of(v.g0), v.g1)));
    const auto sums = [&](const Expr &scale_x, const Expr &scale_dy, const std::string &name, const Func &needed) {
        const Expr is_needed =
            needed.defined() ? needed(of.few_channels ? of.whole_of(v.g0) : v.g0, v.g1)[0] != 0 : Expr();
        d.sums.push_back(of.sum(
            [&](const Chunks &chunks, Func runs) {
                return gradient_sums_measured(chunks, x_parts, dy_parts, runs, needed.defined() ? gate : first_gate, m,
                                              scale_x, scale_dy);
            },
            name, is_needed, {}));
        return d.sums.back().whole;
    };
    const auto value = [&](const Func &f, int element) { return Expr(f(v.g0, v.g1)[element]); };

    // What holds for ordinary groups and for others alike needs no sample.
    const Func first = sums(1.0f, 1.0f, "first", Func());
    const Expr Ly = value(first, 2), Lx = value(first, 3);
    const Expr infinite = bits_of_double(std::numeric_limits<double>::infinity());
    const Expr finite =
        magnitude_of_double(value(first, 0)) < infinite && magnitude_of_double(value(first, 1)) < infinite;
    const auto fits = [&](const Expr &scale_dy, const Expr &scale_x) {
        const Expr of_dy = reinterpret<float>(Ly) * scale_dy, of_x = reinterpret<float>(Lx) * scale_x;
        const Expr p = magnitude_of_double(cast<double>(of_dy) * cast<double>(of_x));
        return magnitude(of_dy) < bits_of(0x1p110f) &&
               (p == 0 || (bits_of_double(0x1p-80) <= p && p <= bits_of_double(0x1p100)));
    };
    Func checks("checks"), spread("spread"), range("range"), ready("sums");
    checks(v.g0, v.g1) = Tuple(cast<int>(finite), cast<int>(fits(1.0f, 1.0f)));
    const Expr is_finite = value(checks, 0) != 0, fits_unscaled = value(checks, 1) != 0;
    const Expr clear = is_finite && fits_unscaled;
    d.sample_again = sample_of_groups(
        [&](Expr s, Expr r) {
            const Expr centered = x(s, r, v.g0, v.g1) - m;
            return std::vector<Expr>{magnitude(gate.specialized(centered, dy(s, r, v.g0, v.g1))), magnitude(centered)};
        },
        of);
    const std::vector<Expr> &sampled = d.sample_again.results;
    spread(v.g0, v.g1) = Tuple(select(clear, 0, sampled[0]), select(clear, 0, sampled[1]));
    const Expr Dy = value(spread, 0), Dx = value(spread, 1), ordinary = is_ordinary(Dy) && is_ordinary(Dx);
    const Expr unscaled = clear || select(ordinary, is_finite, fits_unscaled);
    const Expr by_sample = fits(scale(Dy), scale(Dx));
    const auto scale_by = [&](const Expr &of_sample, const Expr &of_group) {
        return select(unscaled, 1.0f, ordinary, 0x1p-74f, scale(select(by_sample, of_sample, of_group)));
    };
    range(v.g0, v.g1) = Tuple(cast<int>(!unscaled), scale_by(Dx, Lx), scale_by(Dy, Ly));
    const Func second = sums(of.at(range, 1), of.at(range, 2), "second", range);

    const auto final_sum = [&](int element) {
        return select(value(range, 0) != 0, value(second, element), value(first, element));
    };
    const auto inverse = [&](int element) { return cast<double>(1) / cast<double>(value(range, element)); };
    const Expr sum_dy = final_sum(0) * inverse(2), mean_of = mean(v.g0, v.g1);
    ready(v.g0, v.g1) = Tuple(sum_dy, times(final_sum(1) * inverse(2), inverse(1)) -
                                          times(mean_of - cast<double>(cast<float>(mean_of)), sum_dy));
    d.of_group = {checks, spread, range, ready};
    return Tuple(value(ready, 0), value(ready, 1));
}

}  // namespace hnorm
