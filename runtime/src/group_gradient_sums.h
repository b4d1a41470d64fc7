// What backward's sums decide: scales, and which groups are taken again (docs/order.md,
// "Backward").
#pragma once

#include <cmath>

#include "reduction.h"

namespace hnorm::detail {

// What dy and x are multiplied by (docs/order.md, "Backward").
struct Scales {
    float dy, x;
    bool operator==(const Scales &other) const { return dy == other.dy && x == other.x; }
};
// Whether these scales fit a group of these greatest magnitudes.
inline bool fit(const Scales &scales, float greatest_dy, float greatest_x) {
    const float of_dy = greatest_dy * scales.dy, of_x = greatest_x * scales.x;
    const double product = static_cast<double>(of_dy) * static_cast<double>(of_x);
    return of_dy < 0x1p110f && (product == 0 || (0x1p-80 <= product && product <= 0x1p100));
}
constexpr Scales kUnscaled = {1, 1};

// Computes the sums of runs, of groups whose planes have one class. values: m, a, b, and the scales
// of x and dy, which are read only if sums are measured.
constexpr int kGradientValues = 5;
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

// The sums of the groups of a view of x and dy. sample() and sum() say how elements are read, as in
// GroupMoments.
class GroupGradientSums {
public:
    virtual ~GroupGradientSums() = default;

    // sum_dy and sum_dy_xmu have one value a group, channels adjacent. Here sum_dy_xmu is the sum
    // of dy * (x - m): m is the mean as a float.
    hnorm_status compute(double *sum_dy, double *sum_dy_xmu) {
        HNORM_TRY(reserve());
        return compute_reserved(sum_dy, sum_dy_xmu);
    }

protected:
    GroupGradientSums(const char *function, const SumsView &view, float slope)
        : function_(function), view_(view), x_(view.x), measured_(slope != 1 && slope != 0) {}

    hnorm_status reserve() {
        const int64_t count = x_.groups();
        HNORM_TRY(floats_.reserve(function_, 2 * count));
        HNORM_TRY(bits_.reserve(function_, 4 * count));
        scale_x_ = floats_.data();
        scale_dy_ = scale_x_ + count;
        sample_dy_ = bits_.data() + 2 * count;
        sample_x_ = sample_dy_ + count;
        return HNORM_OK;
    }
    hnorm_status compute_reserved(double *sum_dy, double *sum_dy_xmu) {
        const int64_t count = x_.groups();
        const Range all = {0, x_.g1.extent, 0, x_.g0.extent};
        sums_ = {sum_dy, sum_dy_xmu, {bits_.data(), bits_.data() + count}};
        if (sums_first_ && !measured_ && latest_were_ordinary()) {
            HNORM_TRY(sum(all));
            HNORM_TRY(sample());
            HNORM_TRY(sum_others());
        } else {
            HNORM_TRY(sample());
            choose_scales();
            HNORM_TRY(sum(all));
        }
        HNORM_TRY(mind_range());
        undo_scales(sum_dy, sum_dy_xmu);
        return HNORM_OK;
    }
    // Divides the sums by the scales of their groups.
    void undo_scales(double *sum_dy, double *sum_dy_xmu) const {
        for (int64_t g = 0; g < x_.groups() && measured_; ++g) {
            const double of_dy = 1 / static_cast<double>(scale_dy_[g]), of_x = 1 / static_cast<double>(scale_x_[g]);
            sum_dy[g] = sum_dy[g] * of_dy;
            sum_dy_xmu[g] = (sum_dy_xmu[g] * of_dy) * of_x;
        }
    }

    // The greatest magnitudes of the sample.
    virtual hnorm_status sample() = 0;
    // The sums of the groups in the range, and their greatest if they are measured.
    virtual hnorm_status sum(const Range &range) = 0;

    const char *const function_;
    const SumsView &view_;
    const View &x_;
    Sums sums_ = {};
    bool measured_;  // whether the greatest magnitudes are wanted, or scales matter
    // Whether sums without scales come before the sample: these read memory in its order, and then
    // the sample finds its rows in cache. Groups that need scales are summed once more.
    bool sums_first_ = false;
    float *scale_x_ = nullptr, *scale_dy_ = nullptr;
    int32_t *sample_dy_ = nullptr, *sample_x_ = nullptr;
    Marks marks_;

private:
    // Whether most groups were ordinary that this thread has summed last. If not, sums before the
    // sample would be for nothing.
    static bool &latest_were_ordinary() {
        static thread_local bool latest = true;
        return latest;
    }
    int64_t count_others() const {
        int64_t others = 0;
        for (int64_t g = 0; g < x_.groups(); ++g) {
            others += static_cast<int64_t>(!is_ordinary_group(g));
        }
        latest_were_ordinary() = 2 * others <= x_.groups();
        return others;
    }
    void choose_scales() {
        if (count_others() > 0 || measured_) {
            measure();
        }
    }
    // Sums the groups that are not ordinary once more, with their scales.
    hnorm_status sum_others() {
        if (count_others() == 0) {
            return HNORM_OK;
        }
        measure();
        HNORM_TRY(marks_.clear(function_, x_.groups()));
        for (int64_t g = 0; g < x_.groups(); ++g) {
            if (!is_ordinary_group(g)) {
                marks_.mark(g);
            }
        }
        return for_marked(view_, marks_, [&](const Range &range) { return sum(range); });
    }
    // Begins with the scales that the sample suggests. A group for which they are right is summed
    // once.
    void measure() {
        measured_ = true;
        for (int64_t g = 0; g < x_.groups(); ++g) {
            const bool fits = is_ordinary_group(g) || fit(kUnscaled, as_float(sample_dy_[g]), as_float(sample_x_[g]));
            set_scales(g, fits ? kUnscaled : by_sample(g));
        }
    }
    Scales by_sample(int64_t g) const { return {scale_of(sample_dy_[g]), scale_of(sample_x_[g])}; }
    Scales scales(int64_t g) const { return {scale_dy_[g], scale_x_[g]}; }
    void set_scales(int64_t g, const Scales &scales) {
        scale_dy_[g] = scales.dy;
        scale_x_[g] = scales.x;
    }
    bool is_ordinary_group(int64_t g) const { return is_ordinary(sample_dy_[g]) && is_ordinary(sample_x_[g]); }

    // Sums those groups again that need other scales.
    hnorm_status mind_range() {
        if (!measured_ && all_finite(sums_.e, x_.groups()) && all_finite(sums_.q, x_.groups())) {
            return HNORM_OK;
        }
        if (!measured_) {
            measure();
        }
        // A greatest magnitude that its scale made infinite is not known: such groups are summed
        // with 1.
        HNORM_TRY(sum_by([&](int64_t g) {
            const bool known =
                scales(g) == kUnscaled || (is_finite(sums_.greatest[0][g]) && is_finite(sums_.greatest[1][g]));
            return known ? scales(g) : kUnscaled;
        }));
        return sum_by([&](int64_t g) { return right_scales(g); });
    }
    template <typename ScalesOf>
    hnorm_status sum_by(const ScalesOf &scales_of) {
        bool any = false;
        for (int64_t g = 0; g < x_.groups(); ++g) {
            const Scales wanted = scales_of(g);
            if (wanted == scales(g)) {
                continue;
            }
            if (!any) {
                HNORM_TRY(marks_.clear(function_, x_.groups()));
            }
            any = true;
            marks_.mark(g);
            set_scales(g, wanted);
        }
        return any ? for_marked(view_, marks_, [&](const Range &range) { return sum(range); }) : HNORM_OK;
    }
    // The scales that a group's sums ask for. Sums of ordinary groups need not have been measured.
    Scales right_scales(int64_t g) const {
        if (is_ordinary_group(g)) {
            const bool finite = std::isfinite(sums_.e[g]) && std::isfinite(sums_.q[g]);
            return finite ? kUnscaled : Scales{power_of_two(74), power_of_two(74)};
        }
        const float dy = as_float(sums_.greatest[0][g]) / scale_dy_[g],
                    x = as_float(sums_.greatest[1][g]) / scale_x_[g];
        if (fit(kUnscaled, dy, x)) {
            return kUnscaled;
        }
        return fit(by_sample(g), dy, x) ? by_sample(g) : Scales{scale_of(magnitude(dy)), scale_of(magnitude(x))};
    }

    ScratchOf<float> floats_;
    ScratchOf<int32_t> bits_;
};

}  // namespace hnorm::detail
