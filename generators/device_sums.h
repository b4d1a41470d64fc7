// The sums of groups on devices, and the decisions that follow from them (docs/order.md, "Sums
// about the center"). For CPUs, the runtime decides between kernels. For devices, a kernel does not
// ask the host: it decides itself, and sums groups again if necessary.
#pragma once

#include "device_groups.h"

#include <limits>

namespace hnorm {

inline Expr infinite() { return bits_of_double(std::numeric_limits<double>::infinity()); }

// The sums of groups, as the schedules see them.
struct DeviceReduction {
    bool has_probe = false;
    FirstProbe probe;
    std::vector<GroupSum> sums;  // the first, and those taken again
    std::vector<Func> of_group;  // (g0, g1): what is decided between them
    Probe probe_again;           // for the second of these, rarely
    std::vector<Func> of_first;  // (g0, g1): what the first sums alone need of groups, besides the probe
};

inline Tuple device_moments(DeviceReduction &d, Func x, const Groups &of, const Products &times) {
    const Axes v;
    const Func parts = of.seen(x);
    d.has_probe = true;
    d.probe = first_probe(x, of, times);
    const Func about = d.probe.about;
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
    const Expr Q1 = magnitude_of_double(value(first, 1)), finite = Q1 < infinite();
    const Expr in_range =
        select(ordinary, finite,
               (spread == 0 && finite && bits_of_double(0x1p-60) <= Q1) || L == 0 || is_between(L, 0x1p-40f, 0x1p50f));
    Func rescaled = decision("rescaled"), range = decision("range");
    const Expr before = value(known, 1);
    rescaled(v.g0, v.g1) =
        Tuple(cast<int>(!in_range), select(in_range, before, ordinary || L >= 0x7f800000, 0x1p-80f,
                                           scale_of_exponent(exponent(L) - exponent(reinterpret<int>(before)))));
    const Expr scale = value(rescaled, 1), start = times(x(0, 0, v.g0, v.g1), scale);
    d.probe_again = probe_of_groups(
        [&](Expr s, Expr r) { return std::vector<Expr>{times(x(s, r, v.g0, v.g1), scale) - start}; }, of);
    range(v.g0, v.g1) =
        Tuple(value(rescaled, 0), select(value(rescaled, 0) != 0, center_of(d.probe_again, start, of), value(known, 0)),
              scale);
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

    const Func first = sums(1.0f, 1.0f, "first", Func());
    const Expr Ly = value(first, 2), Lx = value(first, 3);
    const auto between = [](const Expr &value, double least, double greatest) {
        return bits_of_double(least) <= value && value <= bits_of_double(greatest);
    };
    const Expr ordinary = magnitude_of_double(value(first, 0)) < infinite() &&
                          between(magnitude_of_double(value(first, 1)), 0x1p-60, 0x1p60);
    const Expr p = magnitude_of_double(cast<double>(reinterpret<float>(Ly)) * cast<double>(reinterpret<float>(Lx)));
    const Expr within_range = Ly < bits_of(0x1p110f) && (p == 0 || between(p, 0x1p-80, 0x1p100));
    Func range("range"), ready("sums");
    const Expr unscaled = ordinary || within_range;
    range(v.g0, v.g1) =
        Tuple(cast<int>(!unscaled), select(unscaled, 1.0f, scale(Lx)), select(unscaled, 1.0f, scale(Ly)));
    const Func second = sums(of.at(range, 1), of.at(range, 2), "second", range);

    const auto final_sum = [&](int element) {
        return select(value(range, 0) != 0, value(second, element), value(first, element));
    };
    const auto inverse = [&](int element) { return cast<double>(1) / cast<double>(value(range, element)); };
    const Expr sum_dy = final_sum(0) * inverse(2), mean_of = mean(v.g0, v.g1);
    ready(v.g0, v.g1) = Tuple(sum_dy, times(final_sum(1) * inverse(2), inverse(1)) -
                                          times(mean_of - cast<double>(cast<float>(mean_of)), sum_dy));
    d.of_group = {range, ready};
    return Tuple(value(ready, 0), value(ready, 1));
}

}  // namespace hnorm
