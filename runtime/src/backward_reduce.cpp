// hnorm_backward_reduce, and what it computes.
#include <algorithm>
#include <cmath>

#include "error.h"
#include "gradient_arguments.h"
#include "gradients.h"
#include "reduction.h"
#include "threads.h"

namespace hnorm::detail {

namespace {

// What dy and x are multiplied by, and whether that fits a group of these greatest magnitudes (docs/order.md, "Backward").
struct Scales {
    float dy, x;
    bool operator==(const Scales &other) const { return dy == other.dy && x == other.x; }
};
bool fit(const Scales &scales, float greatest_dy, float greatest_x) {
    const float of_dy = greatest_dy * scales.dy, of_x = greatest_x * scales.x;
    const double product = static_cast<double>(of_dy) * static_cast<double>(of_x);
    return of_dy < 0x1p110f && (product == 0 || (0x1p-80 <= product && product <= 0x1p100));
}
constexpr Scales kUnscaled = {1, 1};

// The sums of the groups of two tensors as their kernels see them.
class GroupGradientSums {
public:
    GroupGradientSums(const char *function, const Machine &machine, const Planes &x, const Planes &dy, View view,
                      bool narrow, const Gate &gate)
        : function_(function),
          machine_(machine),
          x_(x),
          dy_(dy),
          view_(view),
          narrow_(narrow),
          // Planes of one position may be of either layout, each tensor its own: the kernel for channels that are apart takes both.
          planes_(channels_last({&x, &dy}) ? kLast : plane_class(x.s)),
          groups_(x, view),
          sampled_(planes_, x.s, view == View::kBatch ? x.n : 1),
          gate_(gate),
          measured_(gate.slope != 1 && gate.slope != 0) {}

    // sum_dy, sum_dy_xmu: one a group, channels adjacent; the second is about the group's m.
    hnorm_status compute(double *sum_dy, double *sum_dy_xmu) {
        const int64_t count = groups_.count();
        HNORM_TRY(floats_.reserve(function_, 2 * count));
        HNORM_TRY(bits_.reserve(function_, 4 * count));
        scale_x_ = floats_.data();
        scale_dy_ = scale_x_ + count;
        sums_ = {sum_dy, sum_dy_xmu, {bits_.data(), bits_.data() + count}};
        sample_dy_ = bits_.data() + 2 * count;
        sample_x_ = sample_dy_ + count;
        HNORM_TRY(sample());
        HNORM_TRY(sum({0, x_.n, 0, x_.c}));
        HNORM_TRY(mind_range());
        for (int64_t g = 0; g < count && measured_; ++g) {
            const double of_dy = 1 / static_cast<double>(scale_dy_[g]), of_x = 1 / static_cast<double>(scale_x_[g]);
            sum_dy[g] = sum_dy[g] * of_dy;
            sum_dy_xmu[g] = (sum_dy_xmu[g] * of_dy) * of_x;
        }
        return HNORM_OK;
    }

private:
    // The greatest magnitudes of the sample, and whether those of all are to be measured.
    hnorm_status sample() {
        TensorBuffer x(x_, view_), dy(dy_, view_);
        const auto values = [&](const GroupFloats &v) { return GroupBuffer(v.data, x_, view_, v.stride_n, 1); };
        const auto results = [&](int32_t *bits) { return GroupBuffer(bits, x_, view_, x_.c, 1); };
        GroupBuffer m = values(gate_.m), a = values(gate_.a), b = values(gate_.b);
        GroupBuffer of_dy = results(sample_dy_), of_x = results(sample_x_);
        sampled_.prefetch(x_, view_);
        sampled_.prefetch(dy_, view_);
        const SerialScope serial(runs_serially(machine_, x_));
        HNORM_TRY(
            kernel_status(function_, kernels_of(hnorm_kernels_backward_sample, machine_, x_)[planes_](
                                         x, dy, m, a, b, slope_bits(gate_.slope), sampled_.buffer(), of_dy, of_x)));
        int ordinary = 1;
        for (int64_t g = 0; g < groups_.count(); ++g) {
            ordinary &= static_cast<int>(is_ordinary_group(g));
        }
        if (measured_ || ordinary == 0) {
            measure();
        }
        return HNORM_OK;
    }
    // From the start by the scales that the sample suggests: where they are right a group is summed once.
    void measure() {
        measured_ = true;
        for (int64_t g = 0; g < groups_.count(); ++g) {
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

    hnorm_status sum(const Range &range) {
        const Planes x = cropped(x_, range), dy = cropped(dy_, range);
        const int64_t first = groups_.first(range), stride_n = groups_.stride();
        const bool dense = is_narrow_and_dense({&x_, &dy_});
        GroupFloats values[] = {gate_.m.from(range),
                                gate_.a.from(range),
                                gate_.b.from(range),
                                {scale_x_ + first, stride_n},
                                {scale_dy_ + first, stride_n}};
        constexpr int kValues = 5;
        NarrowValues<float> repeated[kValues];
        GroupFloats of_parts[kValues];
        for (int i = 0; i < kValues && narrow_ && dense; ++i) {
            HNORM_TRY(repeated[i].repeat(function_, x, values[i].data, values[i].stride_n, 1));
            of_parts[i] = {repeated[i].data, repeated[i].stride_n};
        }
        return for_parts(function_, x, view_, narrow_, dense, sums_.from(first),
                         [&](const auto &of, int64_t repeats, const Sums &sums, int64_t sums_n) {
                             return sum_part(of(x), of(dy), repeats == 1 ? values : of_parts, sums, sums_n);
                         });
    }

    // values: m, a, b, and the scales of x and dy
    hnorm_status sum_part(const Planes &x, const Planes &dy, const GroupFloats *values, const Sums &sums,
                          int64_t sums_n) {
        RunSums runs(x, view_, planes_, measured_ ? sums : Sums{sums.e, sums.q, {}}, sums_n);
        HNORM_TRY(runs.reserve(function_));
        TensorBuffer x_buffer(x, view_), dy_buffer(dy, view_);
        const auto buffer = [&](int i) { return GroupBuffer(values[i].data, x, view_, values[i].stride_n, 1); };
        GroupBuffer m = buffer(0), a = buffer(1), b = buffer(2), scale_x = buffer(3), scale_dy = buffer(4);
        const int32_t slope = slope_bits(gate_.slope);
        const SerialScope serial(runs_serially(machine_, x_));
        HNORM_TRY(kernel_status(
            function_, measured_ ? kernels_of(hnorm_kernels_backward_reduce_measured, machine_, x_)[planes_](
                                       x_buffer, dy_buffer, m, a, b, slope, scale_x, scale_dy, runs.e(), runs.q(),
                                       runs.greatest(0), runs.greatest(1))
                                 : kernels_of(hnorm_kernels_backward_reduce, machine_, x_)[planes_](
                                       x_buffer, dy_buffer, m, a, b, slope, runs.e(), runs.q())));
        runs.add_up();
        return HNORM_OK;
    }

    // Takes those again that have to have other scales.
    hnorm_status mind_range() {
        if (!measured_ && all_finite(sums_.e, groups_.count()) && all_finite(sums_.q, groups_.count())) {
            return HNORM_OK;
        }
        if (!measured_) {
            measure();
        }
        // Where scales made the greatest infinite it is not known.
        HNORM_TRY(sum_by([&](int64_t g) {
            const bool known =
                scales(g) == kUnscaled || (is_finite(sums_.greatest[0][g]) && is_finite(sums_.greatest[1][g]));
            return known ? scales(g) : kUnscaled;
        }));
        return sum_by([&](int64_t g) { return right_scales(g); });
    }
    template <typename ScalesOf>
    hnorm_status sum_by(const ScalesOf &scales_of) {
        Marks marks;
        for (int64_t g = 0; g < groups_.count(); ++g) {
            const Scales wanted = scales_of(g);
            if (wanted == scales(g)) {
                continue;
            }
            if (!marks.any()) {
                HNORM_TRY(marks.clear(function_, groups_.count()));
            }
            marks.mark(g);
            set_scales(g, wanted);
        }
        return for_marked(x_, view_, marks, narrow_, [&](const Range &range) { return sum(range); });
    }
    // By its sums, of which only an ordinary group's may not have been measured.
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

    const char *const function_;
    const Machine &machine_;
    const Planes &x_, &dy_;
    const View view_;
    const bool narrow_;
    const PlaneClass planes_;
    const Groups groups_;
    SamplePlaces sampled_;
    const Gate gate_;
    bool measured_;  // whether the greatest magnitudes are wanted, or scales matter
    ScratchOf<float> floats_;
    ScratchOf<int32_t> bits_;
    float *scale_x_ = nullptr, *scale_dy_ = nullptr;
    int32_t *sample_dy_ = nullptr, *sample_x_ = nullptr;
    Sums sums_ = {};
};

}  // namespace

hnorm_status compute_backward_reduce(const char *function, const Machine &machine, const Planes &x, const Planes &dy,
                                     hnorm_group group, const GroupValues &mean, const Gate &gate, double *sum_dy,
                                     double *sum_dy_xmu) {
    if (!is_one_plane(x, group)) {
        HNORM_TRY(GroupGradientSums(function, machine, x, dy, view_of(group), is_narrow({&x, &dy}), gate)
                      .compute(sum_dy, sum_dy_xmu));
    } else {
        const Planes plane = one_plane(x);
        const bool narrow = is_narrow({&plane});
        // Channels that are apart are summed one by one, as in compute_moments.
        const int64_t step = channels_last({&x, &dy}) ? x.c : 1;
        for (int64_t c = 0; c < x.c; c += step) {
            const Range range = {0, x.n, c, c + step};
            const Gate part = {gate.m.from(range), gate.a.from(range), gate.b.from(range), gate.slope};
            const Planes of_x = one_plane(cropped(x, range)), of_dy = one_plane(cropped(dy, range));
            HNORM_TRY(GroupGradientSums(function, machine, of_x, of_dy, View::kInstance, narrow, part)
                          .compute(sum_dy + c, sum_dy_xmu + c));
        }
    }
    // About the mean itself.
    for_each_plane(x.groups(group) / x.c, x.c, [&](int64_t n, int64_t c, int64_t i) {
        const double mu = mean.data[n * mean.stride_n + c * mean.stride_c];
        const double m = static_cast<double>(gate.m.data[n * gate.m.stride_n + c]);
        sum_dy_xmu[i] = sum_dy_xmu[i] - (mu - m) * sum_dy[i];
    });
    return HNORM_OK;
}

}  // namespace hnorm::detail

using namespace hnorm::detail;

extern "C" {

hnorm_status hnorm_backward_reduce(const hnorm_tensor *x, const hnorm_tensor *dy, hnorm_group group, const double *mean,
                                   double *sum_dy, double *sum_dy_xmu) {
    const char *const function = "hnorm_backward_reduce";
    GradientTensors tensors(x, dy, nullptr);
    HNORM_TRY(tensors.read(function, true, false));
    HNORM_TRY(read_one_channel(function, tensors.dy.planes.c, &group));
    const Planes &in = tensors.x.planes;
    const int64_t groups = in.groups(group);
    const Array means("mean", mean, groups), sums("sum_dy", sum_dy, groups);
    HNORM_TRY(check_read(function, means, tensors));
    HNORM_TRY(check_written(function, sums, tensors, {means}));
    HNORM_TRY(check_written(function, {"sum_dy_xmu", sum_dy_xmu, groups}, tensors, {means, sums}));
    Machine machine;
    HNORM_TRY(find_machine(function, in.device, &machine, kBackward));
    if (machine.device) {
        if (!in.empty()) {
            return machine.device->backward_reduce(function, in, tensors.dy.planes, group, mean, sum_dy, sum_dy_xmu);
        }
        HNORM_TRY(machine.device->fill_doubles(function, sum_dy, groups, 0));
        return machine.device->fill_doubles(function, sum_dy_xmu, groups, 0);
    }
    if (in.empty()) {
        std::fill_n(sum_dy, groups, 0.0);
        std::fill_n(sum_dy_xmu, groups, 0.0);
        return HNORM_OK;
    }
    const GroupValues values = group_values(mean, in, group);
    GateValues gate;
    HNORM_TRY(gate.compute(function, in, values, values, {}, 0, 1));
    return compute_backward_reduce(function, machine, in, tensors.dy.planes, group, values, gate.gate(), sum_dy,
                                   sum_dy_xmu);
}

}  // extern "C"
