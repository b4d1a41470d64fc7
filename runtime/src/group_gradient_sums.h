// What backward's sums decide: scales, and which groups are taken again (docs/order.md,
// "Backward").
#pragma once

#include <cmath>

#include "magnitudes.h"
#include "reduction.h"
#include "wide.h"

namespace hnorm::detail {

// Whether a group whose sums without scales are these needs none (docs/order.md, "Backward").
inline bool is_ordinary(double e, double q) {
    return both(is_finite(e), both(0x1p-60 <= std::fabs(q), std::fabs(q) <= 0x1p60));
}
// Whether a group of these greatest magnitudes needs none either.
inline bool is_within_range(float greatest_dy, float greatest_x) {
    const double product = static_cast<double>(greatest_dy) * static_cast<double>(greatest_x);
    return both(greatest_dy < 0x1p110F, either(product == 0, both(0x1p-80 <= product, product <= 0x1p100)));
}

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
    // of dy * (x - m): m is the mean as a float. measured: whether the first sums give magnitudes
    // too. That takes longer, but then no group is summed a second time only for its magnitudes.
    hnorm_status compute_reserved(bool measured, double *sum_dy, double *sum_dy_xmu) {
        const int64_t count = x_.groups();
        sums_ = {sum_dy, sum_dy_xmu, {bits_.data(), bits_.data() + count}};
        if (measured || measured_) {
            measure();
        }
        HNORM_TRY(sum({0, x_.g1.extent, 0, x_.g0.extent}));
        const double *const e = sums_.e, *const q = sums_.q;
        const auto ordinary = [=](int64_t g) HNORM_INLINED { return is_ordinary(e[g], q[g]); };
        if (holds_for_all(count, ordinary)) {
            return HNORM_OK;
        }
        HNORM_TRY(marks_.mark_where(function_, count, [=](int64_t g) HNORM_INLINED { return !ordinary(g); }));
        visited_ = groups_visited(view_, marks_);
        if (!measured_) {
            measure();
            HNORM_TRY(sum_marked());
        }
        const int32_t *const greatest_dy = sums_.greatest[0], *const greatest_x = sums_.greatest[1];
        float *const scale_dy = scale_dy_, *const scale_x = scale_x_;
        HNORM_TRY(marks_.mark_where(function_, count, [=](int64_t g) HNORM_INLINED {
            const float dy = as_float(greatest_dy[g]), x = as_float(greatest_x[g]);
            const bool holds = either(ordinary(g), is_within_range(dy, x));
            scale_dy[g] = holds ? 1 : scale_of(greatest_dy[g]);
            scale_x[g] = holds ? 1 : scale_of(greatest_x[g]);
            return !holds;
        }));
        HNORM_TRY(sum_marked());
        if (marks_.any()) {
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
    Marks marks_;

private:
    void measure() {
        measured_ = true;
        std::fill_n(scale_x_, 2 * x_.groups(), 1.0F);
    }
    hnorm_status sum_marked() {
        return for_marked(view_, marks_, [&](const Slice &slice) { return sum(slice); });
    }

    ScratchOf<float> floats_;
    ScratchOf<int32_t> bits_;
};

}  // namespace hnorm::detail
