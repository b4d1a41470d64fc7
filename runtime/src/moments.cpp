// hnorm_moments, and what it computes.
#include <algorithm>
#include <cmath>

#include "blocks.h"
#include "channel_groups.h"
#include "error.h"
#include "reduction.h"
#include "threads.h"
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

// The moments of the groups of a tensor as its kernels see it.
class GroupMoments {
public:
    GroupMoments(const char *function, const Machine &machine, const Planes &x, View view, bool narrow)
        : function_(function),
          machine_(machine),
          x_(x),
          view_(view),
          narrow_(narrow),
          groups_(x, view),
          planes_(reduction_class(x)),
          sampled_(planes_, x.s, view == View::kBatch ? x.n : 1) {}

    // mean, m2: one a group, channels adjacent; m2 as divided by `divisor`.
    hnorm_status compute(double divisor, double *mean, double *m2) {
        const int64_t count = groups_.count();
        HNORM_TRY(doubles_.reserve(function_, 2 * count));
        HNORM_TRY(floats_.reserve(function_, 2 * count));
        HNORM_TRY(bits_.reserve(function_, 2 * count));
        center_ = floats_.data();
        scale_ = center_ + count;
        spread_ = bits_.data();
        sums_ = {doubles_.data(), doubles_.data() + count, {bits_.data() + count, nullptr}};
        const Range all = {0, x_.n, 0, x_.c};
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
    double group_size() const { return static_cast<double>(x_.s * (view_ == View::kBatch ? x_.n : 1)); }

    // The centers and spreads of the groups in the range, by their scales.
    hnorm_status sample(const Range &range, int32_t *spread) {
        const Planes part = cropped(x_, range);
        const int64_t first = groups_.first(range);
        TensorBuffer x(part, view_);
        GroupBuffer scale(scale_ + first, part, view_, x_.c, 1), center(center_ + first, part, view_, x_.c, 1);
        GroupBuffer spreads(spread + first, part, view_, x_.c, 1);
        sampled_.prefetch(part, view_);
        const SerialScope serial(runs_serially(machine_, x_));
        return kernel_status(function_, kernels_of(hnorm_kernels_sample, machine_, x_)[planes_](
                                            x, scale, sampled_.buffer(), center, spreads));
    }

    hnorm_status choose_scales(const Range &all) {
        const int32_t *const spreads = spread_;
        const int64_t count = groups_.count();
        scaled_ = !wide([=]() HNORM_INLINED {
            int ordinary = 1;
            for (int64_t g = 0; g < count; ++g) {
                ordinary &= static_cast<int>(is_ordinary(spreads[g]));
            }
            return ordinary != 0;
        });
        bool again = false;
        for (int64_t g = 0; g < groups_.count() && scaled_; ++g) {
            scale_[g] = is_ordinary(spread_[g]) ? 1 : scale_of(spread_[g]);
            again = again || scale_[g] != 1;
        }
        // The spreads of before decide: those by other scales are not looked at.
        return again ? sample(all, sums_.greatest[0]) : HNORM_OK;
    }

    hnorm_status sum(const Range &range) {
        const Planes part = cropped(x_, range);
        const int64_t first = groups_.first(range);
        const bool dense = is_narrow_and_dense({&x_});
        NarrowValues<float> centers, scales;
        if (narrow_ && dense) {
            HNORM_TRY(centers.repeat(function_, part, center_ + first, groups_.stride(), 1));
            HNORM_TRY(scales.repeat(function_, part, scale_ + first, groups_.stride(), 1));
        }
        return for_parts(
            function_, part, view_, narrow_, dense, sums_.from(first),
            [&](const auto &of, int64_t repeats, const Sums &sums, int64_t stride_n) {
                return repeats == 1 ? sum_part(of(part), center_ + first, scale_ + first, x_.c, sums, stride_n)
                                    : sum_part(of(part), centers.data, scales.data, centers.stride_n, sums, stride_n);
            });
    }

    hnorm_status sum_part(const Planes &part, const float *centers, const float *scales, int64_t values_n,
                          const Sums &sums, int64_t stride_n) {
        RunSums runs(part, view_, planes_, scaled_ ? sums : Sums{sums.e, sums.q, {}}, stride_n);
        HNORM_TRY(runs.reserve(function_));
        TensorBuffer x(part, view_);
        GroupBuffer center(centers, part, view_, values_n, 1), scale(scales, part, view_, values_n, 1);
        const SerialScope serial(runs_serially(machine_, x_));
        HNORM_TRY(kernel_status(function_, scaled_ ? kernels_of(hnorm_kernels_moments_measured, machine_, x_)[planes_](
                                                         x, center, scale, runs.e(), runs.q(), runs.greatest(0))
                                                   : kernels_of(hnorm_kernels_moments, machine_, x_)[planes_](
                                                         x, center, runs.e(), runs.q())));
        runs.add_up();
        return HNORM_OK;
    }

    // Takes those again that left float's range, by other scales.
    hnorm_status mind_range() {
        const double *const q = sums_.q;
        if (!scaled_ && all_finite(q, groups_.count())) {
            return HNORM_OK;
        }
        HNORM_TRY(marks_.clear(function_, groups_.count()));
        for (int64_t g = 0; g < groups_.count(); ++g) {
            const int32_t greatest = scaled_ ? sums_.greatest[0][g] : 0;
            if (!is_in_range(spread_[g], q[g], greatest)) {
                marks_.mark(g);
                scale_[g] = next_scale(spread_[g], greatest, scale_[g]);
            }
        }
        scaled_ = scaled_ || marks_.any();
        return for_marked(x_, view_, marks_, narrow_, [&](const Range &range) {
            HNORM_TRY(sample(range, sums_.greatest[0]));
            return sum(range);
        });
    }

    // Takes those again whose center was far from the mean, about the mean.
    hnorm_status mind_center() {
        const double n = group_size();
        HNORM_TRY(marks_.clear(function_, groups_.count()));
        for (int64_t g = 0; g < groups_.count(); ++g) {
            const float mean = static_cast<float>(static_cast<double>(center_[g]) + sums_.e[g] / n);
            if (is_far(g, n) && mean != center_[g]) {
                marks_.mark(g);
                center_[g] = mean;
            }
        }
        return for_marked(x_, view_, marks_, narrow_, [&](const Range &range) { return sum(range); });
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
        const int64_t count = groups_.count();
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
        for (int64_t g = 0; g < groups_.count() && scaled_; ++g) {
            const double inverse = 1 / static_cast<double>(scale_[g]);
            mean[g] = mean[g] * inverse;
            m2[g] = ((m2[g] * inverse) * inverse) / divisor;
        }
        return near;
    }

    const char *const function_;
    const Machine &machine_;
    const Planes &x_;
    const View view_;
    const bool narrow_;
    const Groups groups_;
    const PlaneClass planes_;
    SamplePlaces sampled_;
    Scratch doubles_;
    ScratchOf<float> floats_;
    ScratchOf<int32_t> bits_;
    float *center_ = nullptr, *scale_ = nullptr;  // the scale: of x, and the center is that of x times it
    int32_t *spread_ = nullptr;
    Sums sums_ = {};
    bool scaled_ = false;  // whether scales matter
    Marks marks_;
};

}  // namespace

hnorm_status compute_moments(const char *function, const Machine &machine, const Planes &x, hnorm_group group,
                             double divisor, double *mean, double *m2) {
    if (!is_one_plane(x, group)) {
        return GroupMoments(function, machine, x, view_of(group), is_narrow({&x})).compute(divisor, mean, m2);
    }
    const Planes plane = one_plane(x);
    const bool narrow = is_narrow({&plane});
    // Channels that are apart are summed one by one, for their kernel wants them adjacent.
    const int64_t step = x.layout == Layout::kChannelsLast ? x.c : 1;
    for (int64_t c = 0; c < x.c; c += step) {
        const Planes part = one_plane(cropped(x, {0, x.n, c, c + step}));
        HNORM_TRY(GroupMoments(function, machine, part, View::kInstance, narrow).compute(divisor, mean + c, m2 + c));
    }
    return HNORM_OK;
}

hnorm_status compute_statistics(const char *function, const Machine &machine, const Planes &x, const Grouping &group,
                                double divisor, double *mean, double *m2) {
    if (group.together == 1) {
        return compute_moments(function, machine, x, group.by, divisor, mean, m2);
    }
    HNORM_TRY(compute_moments(function, machine, x, group.by, 1, mean, m2));
    merge_channels(x.groups(group.by), group.together, static_cast<double>(x.group_size(group.by)), divisor, mean, m2);
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
    HNORM_TRY(find_machine(function, planes.device, &machine));
    const double elements = planes.empty() ? 0.0 : static_cast<double>(grouping.size(planes));
    if (machine.device) {
        if (planes.empty()) {
            HNORM_TRY(machine.device->fill_doubles(function, mean, groups, 0));
            HNORM_TRY(machine.device->fill_doubles(function, m2, groups, 0));
        } else {
            HNORM_TRY(machine.device->moments(function, planes, grouping, 1, mean, m2));
        }
        return machine.device->fill_doubles(function, count, groups, elements);
    }
    if (planes.empty()) {
        std::fill_n(mean, groups, 0.0);
        std::fill_n(m2, groups, 0.0);
    } else {
        StatisticsOfChannels statistics;
        HNORM_TRY(statistics.reserve(function, planes, grouping, mean, m2));
        HNORM_TRY(Blocks(machine, planes, grouping).for_each(function, [&](const Range &range) {
            const int64_t first = range.first(groups_stride(planes, grouping.by));
            return compute_statistics(function, machine, cropped(planes, range), grouping, 1, statistics.mean() + first,
                                      statistics.variance() + first);
        }));
        statistics.give();
    }
    std::fill_n(count, groups, elements);
    return HNORM_OK;
}

}  // extern "C"
