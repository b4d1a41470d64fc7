// What backward's sums decide: scales, and which groups are taken again (docs/order.md,
// "Backward").
#pragma once

#include <cmath>

#include "magnitudes.h"
#include "marks.h"
#include "reduction.h"
#include "wide.h"

namespace hnorm::detail {

// Whether a group whose sums without scales are these needs none (docs/order.md, "Backward").
inline bool is_ordinary(double e, double q) {
    return both(is_finite(e), both(0x1p-60 <= std::fabs(q), std::fabs(q) <= 0x1p60));
}
// Whether a group of these greatest magnitudes needs none either.
inline bool is_within_range(double greatest_dy, double greatest_x) {
    const double product = greatest_dy * greatest_x;
    return both(greatest_dy < 0x1p110, either(product == 0, both(0x1p-80 <= product, product <= 0x1p100)));
}

// What the first sums of a call expect: what the call before it of such a view would have needed.
// No bit depends on it: groups for which it is wrong are summed once more.
struct ExpectedGradients {
    bool measured = false;            // the first sums give magnitudes too
    float scale_dy = 1, scale_x = 1;  // the scales of the first sums; if one is not 1, they give magnitudes too

    bool has_scales() const { return scale_dy != 1 || scale_x != 1; }
    // Whether the order of summation is sure to come to these scales, for a group of so many
    // elements whose sum of dy*(x - m) and magnitudes with these scales are these: the magnitudes
    // need these scales, and the sum without scales is not ordinary. That sum differs from q, less
    // its scales, if numbers are subnormal in one of them. Then each of up to 24 roundings on the
    // way to the sum of a chunk may go the other way: by less than 2^-18 of the greatest sum that
    // there can be.
    bool hold(double size, double q, int32_t bits_dy, int32_t bits_x) const {
        const double dy = as_float(bits_dy), x = as_float(bits_x), sum = std::fabs(q);
        const double undo_dy = 1 / static_cast<double>(scale_dy), undo_x = 1 / static_cast<double>(scale_x);
        const double greatest_dy = dy * undo_dy, greatest_x = x * undo_x, unscaled = (sum * undo_dy) * undo_x;
        const bool small = both(greatest_dy * greatest_x < 0x1p-80, unscaled < 0x1p-62);
        const bool large = both(unscaled > 0x1p62, sum > 0x1p-18 * size * dy * x);
        return both(both(scale_of(bits_dy, scale_dy) == scale_dy, scale_of(bits_x, scale_x) == scale_x),
                    both(!is_within_range(greatest_dy, greatest_x), either(small, large)));
    }
};

// Computes the sums of runs, of groups whose planes have one class. values: m, a, b, and the scales
// of x and dy, which are read only if sums are measured.
constexpr int kGradientValues = 5, kUnscaledValues = 3;
inline hnorm_status run_gradient_kernel(const CpuCall &on, PlaneClass planes, const View &x, const View &dy,
                                        const Values<float> *values, float slope, bool measured, RunSums *runs) {
    TensorBuffer x_buffer(x), dy_buffer(dy);
    const auto buffer = [&](int i) { return GroupBuffer(values[i].data, x, values[i].stride_n); };
    GroupBuffer m = buffer(0), a = buffer(1), b = buffer(2), scale_x = buffer(3), scale_dy = buffer(4);
    const int32_t bits = slope_bits(slope);
    return kernel_status(on.function, measured ? kernel_of(hnorm_kernels_backward_reduce_measured, on, x.type, planes)(
                                                     x_buffer, dy_buffer, m, a, b, bits, scale_x, scale_dy, runs->e(),
                                                     runs->q(), runs->greatest(0), runs->greatest(1))
                                               : kernel_of(hnorm_kernels_backward_reduce, on, x.type, planes)(
                                                     x_buffer, dy_buffer, m, a, b, bits, runs->e(), runs->q()));
}

// The sums of the groups of a view of x and dy. sum() says how elements are read, as in
// GroupMoments.
class GroupGradientSums {
public:
    virtual ~GroupGradientSums() = default;

protected:
    GroupGradientSums(const char *function, const SumsView &view, float slope)
        : function_(function), view_(view), x_(view.x), measured_(slope != 1 && slope != 0) {}

    hnorm_status reserve() {
        const int64_t count = x_.groups();
        HNORM_TRY(floats_.reserve(function_, 2 * count));
        HNORM_TRY(bits_.reserve(function_, 2 * count));
        scale_x_ = floats_.data();
        scale_dy_ = scale_x_ + count;
        return HNORM_OK;
    }
    // sum_dy and sum_dy_xmu have one value a group, channels adjacent. Here sum_dy_xmu is the sum
    // of dy * (x - m): m is the mean as a float.
    hnorm_status compute_reserved(const ExpectedGradients &expected, double *sum_dy, double *sum_dy_xmu) {
        const int64_t count = x_.groups();
        sums_ = {sum_dy, sum_dy_xmu, {bits_.data(), bits_.data() + count}};
        const double *const e = sums_.e, *const q = sums_.q;
        const auto ordinary = [=](int64_t g) HNORM_INLINED { return is_ordinary(e[g], q[g]); };
        if (expected.has_scales()) {
            HNORM_TRY(sum_expected(expected));
            const float *const scale_dy = scale_dy_, *const scale_x = scale_x_;
            HNORM_TRY(mind_range([=](int64_t g) HNORM_INLINED {
                return either(either(scale_dy[g] != 1, scale_x[g] != 1), ordinary(g));
            }));
            expect_scales();
            undo_scales(sum_dy, sum_dy_xmu);
            return HNORM_OK;
        }
        if (expected.measured || measured_) {
            measure({});
        }
        HNORM_TRY(sum(all()));
        HNORM_TRY(mind_range(ordinary));
        if (marks_.any()) {
            expect_scales();
            undo_scales(sum_dy, sum_dy_xmu);
        }
        return HNORM_OK;
    }
    // Divides the sums by the scales of their groups.
    void undo_scales(double *sum_dy, double *sum_dy_xmu) const {
        const float *const scale_dy = scale_dy_, *const scale_x = scale_x_;
        const int64_t count = measured_ ? x_.groups() : 0;
        wide([=]() HNORM_INLINED {
            for (int64_t g = 0; g < count; ++g) {
                const double of_dy = 1 / static_cast<double>(scale_dy[g]), of_x = 1 / static_cast<double>(scale_x[g]);
                sum_dy[g] = sum_dy[g] * of_dy;
                sum_dy_xmu[g] = (sum_dy_xmu[g] * of_dy) * of_x;
            }
        });
    }
    // The sums of the groups in the slice, and their greatest if they are measured.
    virtual hnorm_status sum(const Slice &slice) = 0;

    const char *const function_;
    const SumsView &view_;
    const View &x_;
    Sums sums_ = {};
    bool measured_;  // whether sums give the greatest magnitudes, and have scales
    float *scale_x_ = nullptr, *scale_dy_ = nullptr;
    // How many groups were visited for their magnitudes, or would have been.
    int64_t visited_ = 0;
    ExpectedGradients next_;  // the scales that groups like these need
    Marks marks_;

private:
    double group_size() const { return static_cast<double>(x_.group_size()); }
    Slice all() const { return {0, x_.g1.extent, 0, x_.g0.extent}; }
    void measure(const ExpectedGradients &expected) {
        measured_ = true;
        std::fill_n(scale_x_, x_.groups(), expected.scale_x);
        std::fill_n(scale_dy_, x_.groups(), expected.scale_dy);
    }
    // Expects the scales of the last group that has some, if they hold for many groups.
    void expect_scales() {
        const int64_t count = x_.groups();
        for (int64_t g = count - 1; g >= 0 && !next_.has_scales(); --g) {
            next_.scale_dy = scale_dy_[g];
            next_.scale_x = scale_x_[g];
        }
        const double size = group_size();
        int64_t held = 0;
        for (int64_t g = 0; g < count; ++g) {
            const bool same = scale_dy_[g] == next_.scale_dy && scale_x_[g] == next_.scale_x;
            held +=
                static_cast<int64_t>(same && next_.hold(size, sums_.q[g], sums_.greatest[0][g], sums_.greatest[1][g]));
        }
        if (!pays_to_measure(held, count)) {
            next_ = {};
        }
    }
    // Sums all groups with these scales, and those again without scales for which they do not hold.
    hnorm_status sum_expected(const ExpectedGradients &expected) {
        measure(expected);
        HNORM_TRY(sum(all()));
        const double size = group_size(), *const q = sums_.q;
        const int32_t *const greatest_dy = sums_.greatest[0], *const greatest_x = sums_.greatest[1];
        float *const scale_dy = scale_dy_, *const scale_x = scale_x_;
        HNORM_TRY(marks_.mark_where(function_, x_.groups(), [=](int64_t g) HNORM_INLINED {
            const bool holds = expected.hold(size, q[g], greatest_dy[g], greatest_x[g]);
            scale_dy[g] = holds ? scale_dy[g] : 1;
            scale_x[g] = holds ? scale_x[g] : 1;
            return !holds;
        }));
        return sum_marked();
    }
    // Sums those groups again, with scales, that left the range of float, and marks them. holds(g):
    // whether a group's sums hold, whatever its magnitudes are; it is HNORM_INLINED.
    template <typename Holds>
    hnorm_status mind_range(const Holds &holds) {
        const int64_t count = x_.groups();
        if (holds_for_all(count, holds)) {
            return HNORM_OK;
        }
        HNORM_TRY(marks_.mark_where(function_, count, [=](int64_t g) HNORM_INLINED { return !holds(g); }));
        visited_ = groups_visited(view_, marks_);
        if (!measured_) {
            measure({});
            HNORM_TRY(sum_marked());
        }
        const int32_t *const greatest_dy = sums_.greatest[0], *const greatest_x = sums_.greatest[1];
        float *const scale_dy = scale_dy_, *const scale_x = scale_x_;
        HNORM_TRY(marks_.mark_where(function_, count, [=](int64_t g) HNORM_INLINED {
            const bool keeps = either(holds(g), is_within_range(as_float(greatest_dy[g]), as_float(greatest_x[g])));
            scale_dy[g] = keeps ? scale_dy[g] : scale_of(greatest_dy[g]);
            scale_x[g] = keeps ? scale_x[g] : scale_of(greatest_x[g]);
            return !keeps;
        }));
        return sum_marked();
    }
    hnorm_status sum_marked() {
        return for_marked(view_, marks_, [&](const Slice &slice) { return sum(slice); });
    }

    ScratchOf<float> floats_;
    ScratchOf<int32_t> bits_;
};

}  // namespace hnorm::detail
