// hnorm_moments, and what it computes.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "cpu.h"
#include "error.h"
#include "reduction.h"
#include "threads.h"
#include "validate.h"
#include "wide.h"

namespace hnorm::detail {

namespace {

// docs/order.md, "Scales"
bool is_in_range(int32_t spread, double q, int32_t greatest) {
    return is_ordinary(spread) ? std::isfinite(q)
                               : greatest == 0 || (magnitude(0x1p-40f) <= greatest && greatest <= magnitude(0x1p50f));
}
float next_scale(int32_t spread, int32_t greatest, float scale) {
    return is_ordinary(spread) || !is_finite(greatest)
               ? power_of_two(74)
               : scale_of_exponent(exponent(greatest) - exponent(magnitude(scale)));
}

// The moments of the groups of a view.
class GroupMoments {
public:
    GroupMoments(const Cpu &on, const SumsView &view)
        : on_(on), view_(view), x_(view.x), sampled_(view), serial_(on.is_serial(x_.type, x_.elements())) {}

    // mean, m2: one a group, channels adjacent; m2 as divided by `divisor`.
    hnorm_status compute(double divisor, double *mean, double *m2) {
        const int64_t count = x_.groups();
        HNORM_TRY(doubles_.reserve(on_.function, 2 * count));
        HNORM_TRY(floats_.reserve(on_.function, 2 * count));
        HNORM_TRY(bits_.reserve(on_.function, 2 * count));
        center_ = floats_.data();
        scale_ = center_ + count;
        spread_ = bits_.data();
        sums_ = {doubles_.data(), doubles_.data() + count, {bits_.data() + count, nullptr}};
        const Range all = {0, x_.g1.extent, 0, x_.g0.extent};
        std::fill_n(scale_, count, 1.0f);
        HNORM_TRY(sample(all, spread_));
        HNORM_TRY(choose_scales(all));
        HNORM_TRY(sum(all));
        HNORM_TRY(mind_range());
        if (finish(divisor, mean, m2)) {
            return HNORM_OK;
        }
        HNORM_TRY(mind_center());
        finish(divisor, mean, m2);
        return HNORM_OK;
    }

private:
    double group_size() const { return static_cast<double>(x_.group_size()); }

    // The centers and spreads of the groups in the range, by their scales.
    hnorm_status sample(const Range &range, int32_t *spread) {
        const View part = sampled_.seen(cropped(x_, range));
        const int64_t first = x_.first(range), stride_n = x_.g0.extent;
        TensorBuffer x(part);
        GroupBuffer scale(scale_ + first, part, stride_n), center(center_ + first, part, stride_n);
        GroupBuffer spreads(spread + first, part, stride_n);
        sampled_.prefetch(part);
        const SerialScope serial(serial_);
        return kernel_status(on_.function, kernels_of(hnorm_kernels_sample, on_, x_.type)[sampled_.planes()](
                                               x, scale, sampled_.buffer(), center, spreads));
    }

    hnorm_status choose_scales(const Range &all) {
        const int32_t *const spreads = spread_;
        const int64_t count = x_.groups();
        scaled_ = !wide([=]() HNORM_INLINED {
            int ordinary = 1;
            for (int64_t g = 0; g < count; ++g) {
                ordinary &= static_cast<int>(is_ordinary(spreads[g]));
            }
            return ordinary != 0;
        });
        bool again = false;
        for (int64_t g = 0; g < x_.groups() && scaled_; ++g) {
            scale_[g] = is_ordinary(spread_[g]) ? 1 : scale_of(spread_[g]);
            again = again || scale_[g] != 1;
        }
        // The spreads of before decide: those by other scales are not looked at.
        return again ? sample(all, sums_.greatest[0]) : HNORM_OK;
    }

    hnorm_status sum(const Range &range) {
        const View part = cropped(x_, range);
        const int64_t first = x_.first(range), channels = x_.g0.extent;
        RepeatedFloats centers, scales;
        if (view_.transposed) {
            HNORM_TRY(centers.repeat_positions(on_.function, part, center_ + first));
            HNORM_TRY(scales.repeat_positions(on_.function, part, scale_ + first));
            return sum_part(positions_as_channels(part), centers.data, scales.data, 0, sums_.from(first), channels,
                            part.r.extent);
        }
        if (view_.dense) {
            HNORM_TRY(centers.repeat(on_.function, part, center_ + first, channels));
            HNORM_TRY(scales.repeat(on_.function, part, scale_ + first, channels));
        }
        return for_parts(
            on_.function, view_, part, sums_.from(first),
            [&](const auto &of, int64_t repeats, const Sums &sums, int64_t stride_n) {
                return repeats == 1 ? sum_part(of(part), center_ + first, scale_ + first, channels, sums, stride_n)
                                    : sum_part(of(part), centers.data, scales.data, centers.stride_n, sums, stride_n);
            });
    }

    hnorm_status sum_part(const View &part, const float *centers, const float *scales, int64_t values_n,
                          const Sums &sums, int64_t stride_n, int64_t together = 1) {
        RunSums runs(part, view_.planes, scaled_ ? sums : Sums{sums.e, sums.q, {}}, stride_n, together);
        HNORM_TRY(runs.reserve(on_.function));
        TensorBuffer x(part);
        GroupBuffer center(centers, part, values_n), scale(scales, part, values_n);
        const SerialScope serial(serial_);
        HNORM_TRY(kernel_status(
            on_.function,
            scaled_ ? kernels_of(hnorm_kernels_moments_measured, on_, x_.type)[view_.planes](x, center, scale, runs.e(),
                                                                                             runs.q(), runs.greatest(0))
                    : kernels_of(hnorm_kernels_moments, on_, x_.type)[view_.planes](x, center, runs.e(), runs.q())));
        runs.add_up();
        return HNORM_OK;
    }

    // Takes those again that left float's range, by other scales.
    hnorm_status mind_range() {
        const double *const q = sums_.q;
        if (!scaled_ && all_finite(q, x_.groups())) {
            return HNORM_OK;
        }
        HNORM_TRY(marks_.clear(on_.function, x_.groups()));
        for (int64_t g = 0; g < x_.groups(); ++g) {
            const int32_t greatest = scaled_ ? sums_.greatest[0][g] : 0;
            if (!is_in_range(spread_[g], q[g], greatest)) {
                marks_.mark(g);
                scale_[g] = next_scale(spread_[g], greatest, scale_[g]);
            }
        }
        scaled_ = scaled_ || marks_.any();
        return for_marked(view_, marks_, [&](const Range &range) {
            HNORM_TRY(sample(range, sums_.greatest[0]));
            return sum(range);
        });
    }

    // Takes those again whose center was far from the mean, about the mean.
    hnorm_status mind_center() {
        const double n = group_size();
        HNORM_TRY(marks_.clear(on_.function, x_.groups()));
        for (int64_t g = 0; g < x_.groups(); ++g) {
            const float mean = static_cast<float>(static_cast<double>(center_[g]) + sums_.e[g] / n);
            if (is_far(g, n) && mean != center_[g]) {
                marks_.mark(g);
                center_[g] = mean;
            }
        }
        return for_marked(view_, marks_, [&](const Range &range) { return sum(range); });
    }
    bool is_far(int64_t g, double n) const {
        const double e = sums_.e[g], square = e * (e / n);
        return is_far(square, sums_.q[g] - square);
    }
    static bool is_far(double square, double moment) { return square > moment * 0.5; }

    // Whether no center was far.
    bool finish(double divisor, double *mean, double *m2) const {
        const double n = group_size(), by = scaled_ ? 1 : divisor;
        const double *const e = sums_.e, *const q = sums_.q;
        const float *const centers = center_;
        const int64_t count = x_.groups();
        const bool near = wide([=]() HNORM_INLINED {
            int all = 1;
            for (int64_t g = 0; g < count; ++g) {
                const double offset = e[g] / n, square = e[g] * offset, moment = q[g] - square;
                all &= static_cast<int>(!is_far(square, moment));
                mean[g] = static_cast<double>(centers[g]) + offset;
                m2[g] = (moment < 0 ? 0 : moment) / by;
            }
            return all != 0;
        });
        for (int64_t g = 0; g < x_.groups() && scaled_; ++g) {
            const double inverse = 1 / static_cast<double>(scale_[g]);
            mean[g] = mean[g] * inverse;
            m2[g] = ((m2[g] * inverse) * inverse) / divisor;
        }
        return near;
    }

    const Cpu &on_;
    const SumsView &view_;
    const View &x_;
    SamplePlaces sampled_;
    const bool serial_;
    Scratch doubles_;
    ScratchOf<float> floats_;
    ScratchOf<int32_t> bits_;
    float *center_ = nullptr, *scale_ = nullptr;  // the scale: of x, and the center is that of x times it
    int32_t *spread_ = nullptr;
    Sums sums_ = {};
    bool scaled_ = false;  // whether scales matter
    Marks marks_;
};

// Of groups of `together` channels, from those of their channels (docs/order.md, "Groups of
// channels"). `size` elements are in each channel. M2 is divided by `divisor`.
void merge_channels(int64_t groups, int64_t together, double size, double divisor, const double *means,
                    const double *m2s, double *mean, double *m2) {
    for (int64_t g = 0; g < groups; ++g, means += together, m2s += together) {
        double sum = 0, within = 0, between = 0;
        for (int64_t c = 0; c < together; ++c) {
            sum += means[c];
            within += m2s[c];
        }
        mean[g] = sum / static_cast<double>(together);
        for (int64_t c = 0; c < together; ++c) {
            const double offset = means[c] - mean[g];
            between += offset * offset;
        }
        m2[g] = (within + size * between) / divisor;
    }
}

// A dense copy of the view's planes.
void pack(const View &view, char *to) {
    const int64_t size = view.element_size();
    for (int64_t n = 0; n < view.g1.extent; ++n) {
        for (int64_t g = 0; g < view.g0.extent; ++g) {
            for (int64_t s = 0; s < view.s.extent; ++s, to += size) {
                std::memcpy(to, view.at(s, 0, g, n), static_cast<size_t>(size));
            }
        }
    }
}

}  // namespace

hnorm_status Cpu::moments(const Planes &x, const Grouping &group, double divisor, double *mean, double *m2) const {
    SumsView all = one_row(sums_view(x, nullptr, group));
    ScratchOf<char> packed;
    // Kernels want the positions of a plane adjacent. Only channels of one position can be apart.
    if (all.planes != kLast && all.x.s.extent > 1 && all.x.s.stride != 1) {
        HNORM_TRY(packed.reserve(function, all.x.elements() * all.x.element_size()));
        pack(all.x, packed.data());
        const int64_t positions = all.x.s.extent;
        all.x = {packed.data(), all.x.type, {positions, 1}, {}, {all.x.groups(), positions}, {}};
    }
    const auto compute = [&](double by, double *means, double *m2s) {
        return for_channels(all, [&](const SumsView &view, int64_t first) {
            return GroupMoments(*this, view).compute(by, means + first, m2s + first);
        });
    };
    if (all.merged == 1) {
        return compute(divisor, mean, m2);
    }
    const int64_t channels = all.x.groups();
    Scratch of_channels;
    HNORM_TRY(of_channels.reserve(function, 2 * channels));
    double *const means = of_channels.data(), *const m2s = means + channels;
    HNORM_TRY(compute(1, means, m2s));
    merge_channels(channels / all.merged, all.merged, static_cast<double>(all.x.group_size()), divisor, means, m2s,
                   mean, m2);
    return HNORM_OK;
}

}  // namespace hnorm::detail

using namespace hnorm::detail;

extern "C" {

hnorm_status hnorm_moments(const hnorm_tensor *x, hnorm_group group, double *count, double *mean, double *m2) {
    const char *const function = "hnorm_moments";
    Planes planes;
    HNORM_TRY(read_tensor(function, "x", x, &planes));
    Grouping grouping;
    HNORM_TRY(read_group(function, "group", group, planes.c, &grouping));
    const int64_t groups = grouping.count(planes);
    const Array counts("count", count, groups), means("mean", mean, groups), m2s("m2", m2, groups);
    for (const Array *array : {&counts, &means, &m2s}) {
        HNORM_TRY(check_array(function, *array, "x", planes));
    }
    HNORM_TRY(check_apart(function, counts, means, planes.device));
    HNORM_TRY(check_apart(function, counts, m2s, planes.device));
    HNORM_TRY(check_apart(function, means, m2s, planes.device));
    Machine machine;
    HNORM_TRY(machine.find(function, planes.device));
    return machine.run(&Device::moments, compute_moments<Cpu>, Moments{planes, grouping, count, mean, m2});
}

}  // extern "C"
