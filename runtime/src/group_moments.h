// What forward's sums decide: scales, and which groups are taken again (docs/order.md, "Forward").
#pragma once

#include <algorithm>
#include <cmath>

#include "magnitudes.h"
#include "marks.h"
#include "reduction.h"
#include "wide.h"

namespace hnorm::detail {

// Whether a group's sums hold, whatever its greatest deviation is (docs/order.md, "Sums about the
// center").
inline bool is_clear(int32_t spread, double q) {
    return both(is_finite(q), either(is_ordinary(spread), both(spread == 0, q >= 0x1p-60)));
}
// Whether they hold, also by the greatest deviation.
inline bool is_in_range(int32_t spread, double q, int32_t greatest) {
    const bool safe = either(greatest == 0, is_between(greatest, 0x1p-40F, 0x1p50F));
    return either(is_clear(spread, q), both(!is_ordinary(spread), safe));
}
// The scale to sum the group with if they do not.
inline float next_scale(int32_t spread, int32_t greatest, float scale) {
    return is_ordinary(spread) || !is_finite(greatest) ? kLeastScale : scale_of(greatest, scale);
}

// What the first sums of a call expect: what the call before it of such a view would have needed.
// No bit depends on it: groups for which it is wrong are summed once more.
struct ExpectedMoments {
    bool measured = false;  // groups with a constant probe are measured at once
    bool huge = false;      // ordinary groups are out of range, and are summed with the least scale
};
// Whether an ordinary group is out of range: by the greatest deviation that was taken with the
// least scale. Its square is not finite then.
inline bool is_huge(int32_t greatest) { return greatest >= magnitude(0x1p65F * kLeastScale); }

// Computes the sums of runs about the centers, of groups whose planes have one class. scales: null
// if all are 1. The centers and scales of one sample lie values_n after those of the sample before.
inline hnorm_status run_moments_kernel(const CpuCall &on, PlaneClass planes, const View &part, const float *centers,
                                       const float *scales, int64_t values_n, RunSums *runs) {
    TensorBuffer x(part);
    GroupBuffer center(centers, part, values_n), scale(scales, part, values_n);
    return kernel_status(
        on.function, scales ? kernel_of(hnorm_kernels_moments_measured, on, part.type, planes)(
                                  x, center, scale, runs->e(), runs->q(), runs->greatest(0))
                            : kernel_of(hnorm_kernels_moments, on, part.type, planes)(x, center, runs->e(), runs->q()));
}

// The moments of the groups of a view. probe() and sum() say how elements are read: they may lie
// in several processes, which then all decide alike.
class GroupMoments {
public:
    virtual ~GroupMoments() = default;

protected:
    GroupMoments(const char *function, const SumsView &view) : function_(function), view_(view), x_(view.x) {}

    hnorm_status reserve() {
        const int64_t count = x_.groups();
        HNORM_TRY(doubles_.reserve(function_, 2 * count));
        HNORM_TRY(floats_.reserve(function_, 2 * count));
        HNORM_TRY(bits_.reserve(function_, 2 * count));
        center_ = floats_.data();
        scale_ = center_ + count;
        spread_ = bits_.data();
        sums_ = {doubles_.data(), doubles_.data() + count, {bits_.data() + count, nullptr}};
        return HNORM_OK;
    }
    // mean and m2 have one value a group, channels adjacent. m2 is divided by `divisor`.
    hnorm_status compute_reserved(const ExpectedMoments &expected, double divisor, double *mean, double *m2) {
        const Slice all = {0, x_.g1.extent, 0, x_.g0.extent};
        std::fill_n(scale_, x_.groups(), 1.0F);
        HNORM_TRY(probe(all, spread_));
        HNORM_TRY(choose_scales(all, expected));
        HNORM_TRY(sum(all));
        if (expected.huge) {
            HNORM_TRY(mind_expected());
        }
        HNORM_TRY(mind_range());
        if (finish(divisor, mean, m2)) {
            return HNORM_OK;
        }
        HNORM_TRY(mind_center());
        finish(divisor, mean, m2);
        return HNORM_OK;
    }

    // What the next call should expect of groups like these.
    ExpectedMoments expected_next() const {
        int64_t huge = 0;
        for (int64_t g = 0; rescaled_ && g < x_.groups(); ++g) {
            huge += static_cast<int64_t>(is_ordinary(spread_[g]) && scale_[g] != 1);
        }
        return {pays_to_measure(visited_, x_.groups()), pays_to_measure(huge, x_.groups())};
    }

    // The centers and spreads of the groups in the slice, by their scales.
    virtual hnorm_status probe(const Slice &slice, int32_t *spread) = 0;
    // The sums of the groups in the slice, and their greatest if scales matter.
    virtual hnorm_status sum(const Slice &slice) = 0;

    const char *const function_;
    const SumsView &view_;
    const View &x_;
    float *center_ = nullptr, *scale_ = nullptr;  // x is multiplied by the scale; the center is near x * scale
    Sums sums_ = {};
    bool scaled_ = false;  // whether scales matter, or magnitudes
    // How many groups were visited for their greatest, or would have been.
    int64_t visited_ = 0;
    Marks marks_;

private:
    double group_size() const { return static_cast<double>(x_.group_size()); }

    hnorm_status choose_scales(const Slice &all, const ExpectedMoments &expected) {
        const int32_t *const spreads = spread_;
        const int64_t count = x_.groups();
        all_ordinary_ = holds_for_all(count, [=](int64_t g) HNORM_INLINED { return is_ordinary(spreads[g]); });
        const bool measured = expected.measured;
        scaled_ = expected.huge || (!all_ordinary_ && !holds_for_all(count, [=](int64_t g) HNORM_INLINED {
                      return either(is_ordinary(spreads[g]), both(!measured, spreads[g] == 0));
                  }));
        if (!scaled_) {
            return HNORM_OK;
        }
        const float of_ordinary = expected.huge ? kLeastScale : 1;
        float *const scales = scale_;
        rescaled_ = !holds_for_all(count, [=](int64_t g) HNORM_INLINED {
            scales[g] = is_ordinary(spreads[g]) ? of_ordinary : scale_of(spreads[g]);
            return scales[g] == 1;
        });
        // New centers for the scaled groups. Their new spreads are not looked at: the first ones
        // decide.
        return rescaled_ ? probe(all, sums_.greatest[0]) : HNORM_OK;
    }

    // Sums those ordinary groups again, without a scale, that may be in range.
    hnorm_status mind_expected() {
        const int32_t *const spreads = spread_, *const greatest = sums_.greatest[0];
        float *const scales = scale_;
        HNORM_TRY(marks_.mark_where(function_, x_.groups(), [=](int64_t g) HNORM_INLINED {
            const bool moves = both(is_ordinary(spreads[g]), !is_huge(greatest[g]));
            scales[g] = moves ? 1 : scales[g];
            return moves;
        }));
        return probe_and_sum_marked();
    }

    // Sums those groups again, with other scales, that left the range of float.
    hnorm_status mind_range() {
        const double *const q = sums_.q;
        const int64_t count = x_.groups();
        if (all_ordinary_ && holds_for_all(count, [=](int64_t g) HNORM_INLINED { return is_finite(q[g]); })) {
            return HNORM_OK;
        }
        HNORM_TRY(mind_constant());
        const int32_t *const spreads = spread_, *const greatest = sums_.greatest[0];
        const bool scaled = scaled_;
        const auto greatest_of = [=](int64_t g) HNORM_INLINED { return scaled ? greatest[g] : 0; };
        HNORM_TRY(marks_.mark_where(
            function_, count, [=](int64_t g) HNORM_INLINED { return !is_in_range(spreads[g], q[g], greatest_of(g)); }));
        if (!marks_.any()) {
            return HNORM_OK;
        }
        for (int64_t g = 0; g < count; ++g) {
            if (marks_.is_marked(g)) {
                scale_[g] = next_scale(spreads[g], greatest_of(g), scale_[g]);
            }
        }
        scaled_ = rescaled_ = true;
        return probe_and_sum_marked();
    }

    // Sums those groups with a constant probe again, for their greatest, whose sums alone do not
    // tell that they hold.
    hnorm_status mind_constant() {
        const int32_t *const spreads = spread_;
        const double *const q = sums_.q;
        HNORM_TRY(marks_.mark_where(function_, x_.groups(), [=](int64_t g) HNORM_INLINED {
            return both(spreads[g] == 0, !is_clear(0, q[g]));
        }));
        visited_ = groups_visited(view_, marks_);
        if (scaled_ || !marks_.any()) {
            return HNORM_OK;
        }
        scaled_ = true;
        return sum_marked();
    }

    // Sums those groups again, about their mean, whose center was far from it.
    hnorm_status mind_center() {
        const double n = group_size();
        HNORM_TRY(marks_.mark_where(function_, x_.groups(), [&](int64_t g) {
            const float mean = static_cast<float>(static_cast<double>(center_[g]) + sums_.e[g] / n);
            const bool moves = is_far(g, n) && mean != center_[g];
            center_[g] = moves ? mean : center_[g];
            return moves;
        }));
        return sum_marked();
    }
    hnorm_status sum_marked() {
        return for_marked(view_, marks_, [&](const Slice &slice) { return sum(slice); });
    }
    // The same about new centers, whose scales are new.
    hnorm_status probe_and_sum_marked() {
        return for_marked(view_, marks_, [&](const Slice &slice) {
            HNORM_TRY(probe(slice, sums_.greatest[0]));
            return sum(slice);
        });
    }
    bool is_far(int64_t g, double n) const {
        const double e = sums_.e[g], square = e * (e / n);
        return is_far(square, sums_.q[g] - square);
    }
    static bool is_far(double square, double moment) { return square > moment * 0.5; }

    // Writes the results, and returns whether no center was far from its mean.
    bool finish(double divisor, double *mean, double *m2) const {
        const double n = group_size(), by = rescaled_ ? 1 : divisor;
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
        const float *const scales = scale_;
        if (rescaled_) {
            wide([=]() HNORM_INLINED {
                for (int64_t g = 0; g < count; ++g) {
                    const double inverse = 1 / static_cast<double>(scales[g]);
                    mean[g] = mean[g] * inverse;
                    m2[g] = ((m2[g] * inverse) * inverse) / divisor;
                }
            });
        }
        return near;
    }

    bool all_ordinary_ = false, rescaled_ = false;  // rescaled_: whether any scale is not 1
    Scratch doubles_;
    ScratchOf<float> floats_;
    ScratchOf<int32_t> bits_;
    int32_t *spread_ = nullptr;
};

}  // namespace hnorm::detail
