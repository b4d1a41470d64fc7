// hnorm_backward_reduce, and what it computes.
#include <algorithm>
#include <cmath>

#include "cpu.h"
#include "error.h"
#include "gradient_arguments.h"
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

// The sums of the groups of a view of two tensors.
class GroupGradientSums {
public:
    GroupGradientSums(const Cpu &on, const SumsView &view, const detail::Gate &gate)
        : on_(on),
          view_(view),
          x_(view.x),
          sampled_(view),
          gate_(gate),
          serial_(on.is_serial(x_.type, x_.elements())),
          measured_(gate.slope != 1 && gate.slope != 0) {}

    // sum_dy, sum_dy_xmu: one a group, channels adjacent; the second is about the group's m.
    hnorm_status compute(double *sum_dy, double *sum_dy_xmu) {
        const int64_t count = x_.groups();
        HNORM_TRY(floats_.reserve(on_.function, 2 * count));
        HNORM_TRY(bits_.reserve(on_.function, 4 * count));
        scale_x_ = floats_.data();
        scale_dy_ = scale_x_ + count;
        sums_ = {sum_dy, sum_dy_xmu, {bits_.data(), bits_.data() + count}};
        sample_dy_ = bits_.data() + 2 * count;
        sample_x_ = sample_dy_ + count;
        HNORM_TRY(sample());
        HNORM_TRY(sum({0, x_.g1.extent, 0, x_.g0.extent}));
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
        const View seen_x = sampled_.seen(x_), seen_dy = sampled_.seen(view_.dy);
        TensorBuffer x(seen_x), dy(seen_dy);
        const auto values = [&](const Values<float> &v) { return GroupBuffer(v.data, x_, v.stride_n); };
        GroupBuffer m = values(gate_.m), a = values(gate_.a), b = values(gate_.b);
        GroupBuffer of_dy(sample_dy_, x_), of_x(sample_x_, x_);
        sampled_.prefetch(seen_x);
        sampled_.prefetch(seen_dy);
        const SerialScope serial(serial_);
        HNORM_TRY(
            kernel_status(on_.function, kernels_of(hnorm_kernels_backward_sample, on_, x_.type)[sampled_.planes()](
                                            x, dy, m, a, b, slope_bits(gate_.slope), sampled_.buffer(), of_dy, of_x)));
        int ordinary = 1;
        for (int64_t g = 0; g < x_.groups(); ++g) {
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

    hnorm_status sum(const Range &range) {
        const View x = cropped(x_, range), dy = cropped(view_.dy, range);
        const int64_t first = x_.first(range), channels = x_.g0.extent;
        constexpr int kValues = 5;
        const Values<float> values[kValues] = {gate_.m.from(range),
                                               gate_.a.from(range),
                                               gate_.b.from(range),
                                               {scale_x_ + first, channels},
                                               {scale_dy_ + first, channels}};
        RepeatedFloats repeated[kValues];
        Values<float> of_parts[kValues];
        for (int i = 0; i < kValues && (view_.dense || view_.transposed); ++i) {
            HNORM_TRY(view_.dense ? repeated[i].repeat(on_.function, x, values[i].data, values[i].stride_n)
                                  : repeated[i].repeat_positions(on_.function, x, values[i].data));
            of_parts[i] = {repeated[i].data, repeated[i].stride_n};
        }
        if (view_.transposed) {
            return sum_part(positions_as_channels(x), positions_as_channels(dy), of_parts, sums_.from(first), channels,
                            x.r.extent);
        }
        return for_parts(on_.function, view_, x, sums_.from(first),
                         [&](const auto &of, int64_t repeats, const Sums &sums, int64_t sums_n) {
                             return sum_part(of(x), of(dy), repeats == 1 ? values : of_parts, sums, sums_n);
                         });
    }

    // values: m, a, b, and the scales of x and dy
    hnorm_status sum_part(const View &x, const View &dy, const Values<float> *values, const Sums &sums, int64_t sums_n,
                          int64_t together = 1) {
        RunSums runs(x, view_.planes, measured_ ? sums : Sums{sums.e, sums.q, {}}, sums_n, together);
        HNORM_TRY(runs.reserve(on_.function));
        TensorBuffer x_buffer(x), dy_buffer(dy);
        const auto buffer = [&](int i) { return GroupBuffer(values[i].data, x, values[i].stride_n); };
        GroupBuffer m = buffer(0), a = buffer(1), b = buffer(2), scale_x = buffer(3), scale_dy = buffer(4);
        const int32_t slope = slope_bits(gate_.slope);
        const SerialScope serial(serial_);
        HNORM_TRY(kernel_status(
            on_.function, measured_ ? kernels_of(hnorm_kernels_backward_reduce_measured, on_, x.type)[view_.planes](
                                          x_buffer, dy_buffer, m, a, b, slope, scale_x, scale_dy, runs.e(), runs.q(),
                                          runs.greatest(0), runs.greatest(1))
                                    : kernels_of(hnorm_kernels_backward_reduce, on_, x.type)[view_.planes](
                                          x_buffer, dy_buffer, m, a, b, slope, runs.e(), runs.q())));
        runs.add_up();
        return HNORM_OK;
    }

    // Takes those again that have to have other scales.
    hnorm_status mind_range() {
        if (!measured_ && all_finite(sums_.e, x_.groups()) && all_finite(sums_.q, x_.groups())) {
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
        for (int64_t g = 0; g < x_.groups(); ++g) {
            const Scales wanted = scales_of(g);
            if (wanted == scales(g)) {
                continue;
            }
            if (!marks.any()) {
                HNORM_TRY(marks.clear(on_.function, x_.groups()));
            }
            marks.mark(g);
            set_scales(g, wanted);
        }
        return for_marked(view_, marks, [&](const Range &range) { return sum(range); });
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

    const Cpu &on_;
    const SumsView &view_;
    const View &x_;
    SamplePlaces sampled_;
    const detail::Gate gate_;
    const bool serial_;
    bool measured_;  // whether the greatest magnitudes are wanted, or scales matter
    ScratchOf<float> floats_;
    ScratchOf<int32_t> bits_;
    float *scale_x_ = nullptr, *scale_dy_ = nullptr;
    int32_t *sample_dy_ = nullptr, *sample_x_ = nullptr;
    Sums sums_ = {};
};

}  // namespace

hnorm_status Cpu::reduce(const Planes &x, const Planes &dy, const Normalization &by, const Gate &gate,
                         const GroupSums &sums, Gradient *) const {
    const SumsView given = sums_view(x, &dy, sums.group);
    const SumsView all = gate.m.stride_n == given.x.g0.extent ? one_row(given) : given;
    HNORM_TRY(for_channels(all, [&](const SumsView &view, int64_t first) {
        const Range range = {0, 1, first, first + 1};
        const detail::Gate of_view = {gate.m.from(range), gate.a.from(range), gate.b.from(range), gate.slope};
        return GroupGradientSums(*this, view, of_view).compute(sums.dy + first, sums.dy_xmu + first);
    }));
    // About the mean itself.
    const int64_t channels = given.x.g0.extent;
    for (int64_t n = 0; n < given.x.g1.extent; ++n) {
        const double *const dy_sums = sums.dy + n * channels;
        double *const xmu_sums = sums.dy_xmu + n * channels;
        const float *const m = gate.m.data + n * gate.m.stride_n;
        const auto center = [&](const auto &mean) {
            for (int64_t c = 0; c < channels; ++c) {
                xmu_sums[c] = xmu_sums[c] - (mean(c) - static_cast<double>(m[c])) * dy_sums[c];
            }
        };
        if (by.mean.together == 1 && by.mean.stride_c == 1) {  // vectors
            const double *const means = &by.mean.at(n, 0);
            center([means](int64_t c) { return means[c]; });
        } else {
            center([&](int64_t c) { return by.mean.at(n, c); });
        }
    }
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
    HNORM_TRY(machine.find(function, in.device));
    const BackwardReduce arguments = {
        in, tensors.dy.planes, group_values(mean, in, {group}), {sum_dy, sum_dy_xmu, {group}}};
    return machine.run(&Device::backward_reduce, compute_backward_reduce<Cpu>, arguments);
}

}  // extern "C"
