// Each kernel for devices by itself, bit for bit, on every device that this machine has:
// HNORM_TEST_DEVICE names one of schedules/ ("opencl", which without a GPU is PoCL),
// HNORM_TEST_FORMAT the layout and type as elsewhere.
#include "catch.hpp"
#include "compare.h"
#include "device_kernels.h"
#include "expected.h"
#include "kernel_buffers.h"
#include "on_device/driver_that_aborts.h"

#include <HalideRuntime.h>
#include <HalideRuntimeOpenCL.h>

#include <dlfcn.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

using namespace test;
using namespace hnorm::detail;

namespace {

// Development packages have the names without a version, which Halide opens; drivers install the
// others.
void *open_library(const char *name) {
    void *library = dlopen((std::string(name) + ".1").c_str(), RTLD_LAZY);
    return library ? library : dlopen(name, RTLD_LAZY);
}

const DeviceKernels &device() {
    static const DeviceKernels &found = [&]() -> const DeviceKernels & {
        halide_set_custom_load_library(open_library);
        const char *named = std::getenv("HNORM_TEST_DEVICE");
        const std::string name = named && *named ? named : "opencl";
        for (int i = 0; i < hnorm_devices_count; i++)
            if (name == hnorm_devices[i].name) return hnorm_devices[i];
        throw std::runtime_error("HNORM_TEST_DEVICE is '" + name + "': this build has no kernels for it");
    }();
    return found;
}

// Calls a kernel with buffers whose values are on the host, before and after.
void upload(halide_buffer_t *buffer) { buffer->set_host_dirty(true); }
void download(halide_buffer_t *buffer) {
    if (buffer->device_dirty() && halide_copy_to_host(nullptr, buffer)) FAIL("a copy from the device failed");
    if (buffer->device) halide_device_free(nullptr, buffer);
}
template <typename T>
void upload(T) {}
template <typename T>
void download(T) {}
template <typename Kernel, typename... Arguments>
void call(const char *name, const std::string &where, Kernel kernel, Arguments... arguments) {
    if (kernel == nullptr) FAIL(name << where << ": there is no such kernel");
    (upload(arguments), ...);
    if (kernel(arguments...)) FAIL(name << where << ": the kernel failed");
    (download(arguments), ...);
}

void require_same(const std::string &difference, const std::string &where) {
    if (!difference.empty()) FAIL(where << ": " << difference);
}

// Buffers of values a group.
template <typename T>
std::unique_ptr<Buffer> given(std::vector<T> &values, const View &view, int64_t stride_g1) {
    return std::make_unique<Buffer>(values.data(), sizeof(T) == sizeof(float) ? kFloat : kDouble,
                                    std::vector<int64_t>{view.g0, view.g1}, std::vector<int64_t>{1, stride_g1});
}
template <typename T>
struct Written : ResultBuffer<T> {
    explicit Written(const View &view) : ResultBuffer<T>({view.g0, view.g1}) {}
    halide_buffer_t *raw() { return &this->buffer.raw; }
};

// Running statistics, of the same values, after a step with weights of 3/4 and 1/4.
std::vector<double> tracked(const std::vector<double> &values, double correction) {
    std::vector<double> after;
    for (const double value : values) after.push_back(0.75 * value + 0.25 * ((0 + value) * correction));
    return after;
}

constexpr int32_t kZero = 0;
constexpr double kEps = 1e-5;

// The data of x and dy.
using Fill = void (*)(Tensor &x, Tensor &dy, uint64_t seed);

// Kernels by themselves, on tensors of a shape and a kind of group.
class Check {
public:
    // aligned: kernels that take 16 bytes at once, where there are such.
    Check(const Shape &shape, const Padding &padding, uint64_t seed, Fill fill_data, hnorm_group by, bool is_aligned)
        : x(shape, padding),
          y(shape, padding),
          dy(shape, padding),
          residual(shape, padding),
          group(by),
          aligned(is_aligned),
          affine(AffineKind::kChannel, x, seed) {
        fill_data(x, dy, seed);
        fill_mixed(residual, seed + 2);
        view = std::make_unique<View>(x, group);
        where = std::string(" (") + device().name + (aligned ? ", aligned) " : ") ") + name(group) + " " +
                x.describe() + " seed " + std::to_string(seed);
        const bool last = tensor_format().channels_last;
        few_channels = last && transcription::few_channels(x.positions(), x.channels());
        reduction = last ? kLast : plane_class(x.positions());
        pointwise = reduction == kTiny ? kSmall : reduction;
        x_buffer = buffer(x);
        y_buffer = buffer(y);
        dy_buffer = buffer(dy);
        residual_buffer = buffer(residual);
        gamma = given(affine.gammas, *view, 0);
        beta = given(affine.betas, *view, 0);

        moments = transcribed_moments(x, group);
        variance = variances(moments);
        for (size_t g = 0; g < variance.size(); g++) {
            const int64_t c = static_cast<int64_t>(g) % x.channels();
            const transcription::Pointwise z(moments.mean[g], variance[g], affine.gamma(0, c), affine.beta(0, c), kEps);
            m.push_back(z.m);
            a.push_back(z.a);
            b.push_back(z.b);
            before.push_back(0.5F + static_cast<float>(g));
        }
        of_mean = given(moments.mean, *view, view->g0);
        of_variance = given(variance, *view, view->g0);
        of_m = given(m, *view, view->g0);
        of_a = given(a, *view, view->g0);
        of_b = given(b, *view, view->g0);
    }

    void run() {
        // By their count, as forward takes them, and by 1.
        check_moments(false);
        check_moments(true);
        check_padding("moments", "x", x);
        check_coefficients();
        for (const Activation &activation : {kActivations[0], kActivations[1], kActivations[2]}) {
            const std::string place = where + " " + activation.describe();
            for (bool in_place : {false, true}) {
                check_normalize(activation, in_place, place);
                if (has_fused()) check_fused_forward(activation, in_place, place);
            }
            check_backward(activation, place);
        }
    }

private:
    bool has_fused() const { return !few_channels && reduction != kLarge; }
    std::unique_ptr<TensorBuffer> buffer(const Tensor &tensor) const {
        return std::make_unique<TensorBuffer>(tensor, group);
    }
    template <typename Kernel>
    Kernel kernel(Kernel const (&plain)[kPlaneClasses], Kernel const (&of_aligned)[kPlaneClasses], PlaneClass planes) {
        return aligned && planes != kTiny ? of_aligned[planes] : plain[planes];
    }
    template <typename Found, typename Expected>
    void require(const Found &found, const Expected &expected, const char *what, const std::string &place) {
        require_same(difference(what, found.result(), expected), place);
    }
    // y is empty or, in place, holds what is overwritten.
    void prepare(const Tensor *overwritten) {
        y.clear();
        if (overwritten) y.copy_elements(*overwritten);
        y.store();
    }

    void check_moments(bool by_count) {
        const std::string place = "moments" + where;
        std::vector<double> &of_m2 = by_count ? variance : moments.m2;
        Written<double> mean(*view), m2(*view), new_mean(*view), new_variance(*view);
        Written<float> found_m(*view), found_a(*view), found_b(*view);
        const auto running_variance = given(of_m2, *view, view->g0);
        call("moments", where,
             few_channels ? kernels.moments_few_channels[reduction]
                          : kernel(kernels.moments, kernels.moments_aligned, reduction),
             &x_buffer->raw, &gamma->raw, &beta->raw, kEps, by_count ? moments.count[0] : 1.0, &of_mean->raw,
             &running_variance->raw, 0.75, 0.25, 1.5, kZero, mean.raw(), m2.raw(), found_m.raw(), found_a.raw(),
             found_b.raw(), new_mean.raw(), new_variance.raw());
        require(mean, moments.mean, "mean", place);
        require(m2, of_m2, "M2", place);
        require(new_mean, tracked(moments.mean, 1), "running mean", place);
        require(new_variance, tracked(of_m2, 1.5), "running variance", place);
        require(found_m, m, "m", place);
        if (by_count) require(found_a, a, "a", place);
        if (by_count) require(found_b, b, "b", place);
    }

    void check_coefficients() {
        Written<float> found_m(*view), found_a(*view), found_b(*view);
        call("coefficients", where, device().coefficients, &of_mean->raw, &of_variance->raw, &gamma->raw, &beta->raw,
             kEps, kZero, found_m.raw(), found_a.raw(), found_b.raw());
        require(found_m, m, "m", "coefficients" + where);
        require(found_a, a, "a", "coefficients" + where);
        require(found_b, b, "b", "coefficients" + where);
    }

    void check_normalize(const Activation &activation, bool in_place, const std::string &place) {
        const int32_t slope = slope_bits(activation.slope());
        TensorBuffer &source = in_place ? *y_buffer : *x_buffer;
        const auto expected = [&](const Tensor *added) {
            return transcribed_normalize(x, group, moments.mean, variance, affine, kEps, {activation, added});
        };
        prepare(in_place ? &x : nullptr);
        call("normalize", place, kernel(kernels.normalize, kernels.normalize_aligned, pointwise), &source.raw,
             &of_m->raw, &of_a->raw, &of_b->raw, slope, kZero, &y_buffer->raw);
        check_padding("normalize", "y", y);
        require_same(difference(y, expected(nullptr)), "normalize" + place);
        prepare(in_place ? &x : nullptr);
        call("normalize_residual", place,
             kernel(kernels.normalize_residual, kernels.normalize_residual_aligned, pointwise), &source.raw, &of_m->raw,
             &of_a->raw, &of_b->raw, slope, &residual_buffer->raw, kZero, &y_buffer->raw);
        check_padding("normalize_residual", "y", y);
        require_same(difference(y, expected(&residual)), "normalize_residual" + place);
    }

    void check_fused_forward(const Activation &activation, bool in_place, const std::string &where_called) {
        const std::string place = "fused_forward" + where_called;
        TensorBuffer &source = in_place ? *y_buffer : *x_buffer;
        for (const bool adds : {false, true}) {
            Written<double> mean(*view), found_variance(*view), new_mean(*view), new_variance(*view);
            prepare(in_place ? &x : nullptr);
            call("fused_forward", where_called, kernel(kernels.fused_forward, kernels.fused_forward_aligned, reduction),
                 &source.raw, &gamma->raw, &beta->raw, kEps, slope_bits(activation.slope()), static_cast<int32_t>(adds),
                 adds ? &residual_buffer->raw : &source.raw, &of_mean->raw, &of_variance->raw, 0.75, 0.25, 1.5, kZero,
                 &y_buffer->raw, mean.raw(), found_variance.raw(), new_mean.raw(), new_variance.raw());
            check_padding("fused_forward", "y", y);
            require_same(difference(y, transcribed_normalize(x, group, moments.mean, variance, affine, kEps,
                                                             {activation, adds ? &residual : nullptr})),
                         place);
            require(mean, moments.mean, "mean", place);
            require(found_variance, variance, "variance", place);
            require(new_mean, tracked(moments.mean, 1), "running mean", place);
            require(new_variance, tracked(variance, 1.5), "running variance", place);
        }
    }

    // What backward gives behind an activation.
    struct Gradients {
        Tensor dz;
        Sums sums;
        WeightedSums weights;
        std::vector<float> scale, k1, power, k2, dx;
    };
    Gradients expected_gradients(const Activation &activation) {
        Gradients of = {Tensor(dy), {}, {}, {}, {}, {}, {}, {}};
        of.dz.set_exact(
            transcribed_gate(dy, transcribed_z(x, group, moments.mean, variance, affine, kEps), activation));
        of.sums = transcribed_sums(x, of.dz, group, moments.mean);
        of.weights = transcribed_weights(x, group, of.sums, affine);
        for (size_t g = 0; g < variance.size(); g++) {
            const transcription::BackwardPointwise dx(moments.mean[g], variance[g],
                                                      affine.gamma(0, static_cast<int64_t>(g) % x.channels()),
                                                      of.weights.g1[g], of.weights.g2[g], moments.count[g], kEps);
            of.scale.push_back(dx.scale);
            of.k1.push_back(dx.k1);
            of.power.push_back(dx.power);
            of.k2.push_back(dx.k2);
        }
        of.dx = transcribed_dx(x, of.dz, group, moments.count, moments.mean, variance, of.weights, affine, kEps);
        return of;
    }
    // The parameters' gradients, added to what was there before or not.
    void require_parameters(const Gradients &of, bool keep, const Written<float> &dgamma, const Written<float> &dbeta,
                            const std::string &place) {
        std::vector<float> of_gamma, of_beta;
        for (size_t g = 0; g < variance.size(); g++) {
            const double invstd = variance[g] + kEps == 0 ? 0 : 1 / std::sqrt(variance[g] + kEps);
            const float start = keep ? before[g] : -0.0F;
            of_gamma.push_back(start + static_cast<float>(of.sums.dy_xmu[g] * invstd));
            of_beta.push_back(start + static_cast<float>(of.sums.dy[g]));
        }
        require(dgamma, of_gamma, "dgamma", place);
        require(dbeta, of_beta, "dbeta", place);
    }
    struct WrittenCoefficients {
        explicit WrittenCoefficients(const View &view) : m(view), scale(view), k1(view), power(view), k2(view) {}
        Written<float> m, scale, k1, power, k2;
    };
    void require_coefficients(const Gradients &of, const WrittenCoefficients &found, const std::string &place) {
        require(found.m, m, "m", place);
        require(found.scale, of.scale, "scale", place);
        require(found.k1, of.k1, "k1", place);
        require(found.power, of.power, "power", place);
        require(found.k2, of.k2, "k2", place);
    }

    void check_backward(const Activation &activation, const std::string &place) {
        Gradients expected = expected_gradients(activation);
        const int32_t slope = slope_bits(activation.slope());
        for (const bool keep : {false, true}) check_backward_reduce(expected, slope, keep, place);
        for (const bool own : {false, true}) check_gradient_coefficients(expected, own, place);
        check_backward_apply(expected, slope, place);
        if (has_fused())
            for (const Tensor *overwritten : std::initializer_list<const Tensor *>{nullptr, &x, &dy})
                check_fused_backward(expected, slope, overwritten, place);

        // x stands for y here: it has both signs.
        std::vector<float> gated = transcribed_gate(dy, x.values(), activation);
        for (float &value : gated) value = rounded(value);
        prepare(nullptr);
        call("activation_backward", place,
             kernel(kernels.activation_backward, kernels.activation_backward_aligned, pointwise), &x_buffer->raw,
             &dy_buffer->raw, slope, kZero, &y_buffer->raw);
        require_same(difference(y, gated), "activation_backward" + place);
    }

    void check_backward_reduce(const Gradients &expected, int32_t slope, bool keep, const std::string &where_called) {
        const std::string place = "backward_reduce" + where_called;
        Written<double> sum_dy(*view), sum_dy_xmu(*view);
        WrittenCoefficients found(*view);
        Written<float> found_a(*view), found_b(*view), dgamma(*view), dbeta(*view);
        const auto gamma_before = given(before, *view, view->g0), beta_before = given(before, *view, view->g0);
        call("backward_reduce", where_called,
             few_channels ? kernels.backward_reduce_few_channels[reduction]
                          : kernel(kernels.backward_reduce, kernels.backward_reduce_aligned, reduction),
             &x_buffer->raw, &dy_buffer->raw, &of_mean->raw, &of_variance->raw, &gamma->raw, &beta->raw, kEps, slope,
             &gamma_before->raw, &beta_before->raw, static_cast<int32_t>(keep), kZero, sum_dy.raw(), sum_dy_xmu.raw(),
             found.m.raw(), found.scale.raw(), found.k1.raw(), found.power.raw(), found.k2.raw(), found_a.raw(),
             found_b.raw(), dgamma.raw(), dbeta.raw());
        require(sum_dy, expected.sums.dy, "sum of dy", place);
        require(sum_dy_xmu, expected.sums.dy_xmu, "sum of dy*(x - mean)", place);
        require_coefficients(expected, found, place);
        require(found_a, a, "a", place);
        require(found_b, b, "b", place);
        require_parameters(expected, keep, dgamma, dbeta, place);
    }

    // own: from the groups' own sums, else from weighted ones.
    void check_gradient_coefficients(Gradients &expected, bool own, const std::string &place) {
        const auto count = given(moments.count, *view, view->g0);
        const auto g1 = given(own ? expected.sums.dy : expected.weights.g1, *view, view->g0);
        const auto g2 = given(own ? expected.sums.dy_xmu : expected.weights.g2, *view, view->g0);
        WrittenCoefficients found(*view);
        call("gradient_coefficients", place, device().gradient_coefficients, &of_mean->raw, &of_variance->raw,
             &gamma->raw, &g1->raw, &g2->raw, &count->raw, kEps, static_cast<int32_t>(own), kZero, found.m.raw(),
             found.scale.raw(), found.k1.raw(), found.power.raw(), found.k2.raw());
        require_coefficients(expected, found, "gradient_coefficients" + place);
    }

    void check_backward_apply(Gradients &expected, int32_t slope, const std::string &place) {
        const auto scale = given(expected.scale, *view, view->g0), k1 = given(expected.k1, *view, view->g0),
                   power = given(expected.power, *view, view->g0), k2 = given(expected.k2, *view, view->g0);
        prepare(nullptr);
        call("backward_apply", place, kernel(kernels.backward_apply, kernels.backward_apply_aligned, pointwise),
             &x_buffer->raw, &dy_buffer->raw, &of_m->raw, &scale->raw, &k1->raw, &power->raw, &k2->raw, &of_a->raw,
             &of_b->raw, slope, kZero, &y_buffer->raw);
        check_padding("backward_apply", "dx", y);
        require_same(difference(y, expected.dx), "backward_apply" + place);
    }

    void check_fused_backward(Gradients &expected, int32_t slope, const Tensor *overwritten,
                              const std::string &where_called) {
        const std::string place = "fused_backward" + where_called;
        Written<double> sum_dy(*view), sum_dy_xmu(*view);
        Written<float> dgamma(*view), dbeta(*view);
        const auto gamma_before = given(before, *view, view->g0), beta_before = given(before, *view, view->g0);
        const bool keep = overwritten != nullptr;
        prepare(overwritten);
        call("fused_backward", where_called, kernel(kernels.fused_backward, kernels.fused_backward_aligned, reduction),
             overwritten == &x ? &y_buffer->raw : &x_buffer->raw, overwritten == &dy ? &y_buffer->raw : &dy_buffer->raw,
             &of_mean->raw, &of_variance->raw, &gamma->raw, &beta->raw, kEps, slope, &gamma_before->raw,
             &beta_before->raw, static_cast<int32_t>(keep), kZero, &y_buffer->raw, sum_dy.raw(), sum_dy_xmu.raw(),
             dgamma.raw(), dbeta.raw());
        check_padding("fused_backward", "dx", y);
        require_same(difference(y, expected.dx), place);
        require(sum_dy, expected.sums.dy, "sum of dy", place);
        require(sum_dy_xmu, expected.sums.dy_xmu, "sum of dy*(x - mean)", place);
        require_parameters(expected, keep, dgamma, dbeta, place);
    }

    const DeviceElementKernels &kernels = device().of[tensor_format().type];
    Tensor x, y, dy, residual;
    const hnorm_group group;
    const bool aligned;
    Affine affine;
    bool few_channels = false;
    PlaneClass reduction = kLast, pointwise = kLast;
    std::string where;
    std::unique_ptr<View> view;
    std::unique_ptr<TensorBuffer> x_buffer, y_buffer, dy_buffer, residual_buffer;
    Statistics moments;
    std::vector<double> variance;
    std::vector<float> m, a, b, before;  // before: gradients of parameters
    std::unique_ptr<Buffer> gamma, beta, of_mean, of_variance, of_m, of_a, of_b;
};

void check(const Shape &shape, const Padding &padding, uint64_t seed, Fill fill_data, bool aligned) {
    for (hnorm_group group : kGroups) Check(shape, padding, seed, fill_data, group, aligned).run();
    SUCCEED();
}

void mixed(Tensor &x, Tensor &dy, uint64_t seed) {
    fill_mixed(x, seed, true);
    fill_mixed(dy, seed + 1);
}

// Groups that are summed again for their center, as they are or after their range.
void far(Tensor &x, Tensor &dy, uint64_t seed) {
    fill(x, {Kind::kFarProbe, 0, seed % 3 == 0 ? 1e-14 : seed % 3 == 1 ? 1.0 : 1e14, seed});
    fill(dy, {Kind::kNormal, 0, 1, seed + 1});
}

void check_positions(const std::vector<int64_t> &positions) {
    if (!open_library(device().name == std::string("cuda") ? "libcuda.so" : "libOpenCL.so")) {
        if (std::getenv("HNORM_TEST_DEVICE_NEEDED")) FAIL("no driver for " << device().name << " here");
        std::printf("skipped: no driver for %s here\n", device().name);  // ctest takes this line for a reason to skip
        return;
    }
    if (device().name == std::string("opencl"))
        on_device::skip_where_driver_aborts(
            [] { halide_device_sync_global(nullptr, halide_opencl_device_interface()); });
    const bool takes_aligned = device().of[tensor_format().type].moments_aligned[kSmall] != nullptr;
    // 70 planes are several runs, also of the smallest planes. Thousands of channels are more than
    // a block can have.
    constexpr int64_t kCounts[][2] = {{1, 1}, {1, 17}, {3, 2}, {17, 3}, {2, 70}, {70, 3}, {2, 8}, {3, 40}, {1, 4104}};
    const bool last = tensor_format().channels_last;
    const int64_t at_once = tensor_format().type == HNORM_F32 ? 4 : 8;
    uint64_t seed = 0, fitting = 0;
    for (int64_t S : positions)
        for (const auto &[N, C] : kCounts) {
            if (N * C * S > 20'000) continue;
            seed++;
            // The types of 16 bits differ in their conversions alone: each takes half of the cases.
            const hnorm_type type = tensor_format().type;
            if (type != HNORM_F32 && seed / 4 % 2 != (type == HNORM_F16 ? 1 : 0)) continue;
            const auto of_seed = static_cast<int64_t>(seed);
            const Padding padding = {of_seed % 3, of_seed % 5, seed % 2 == 0};
            const Fill fill_data = seed % 4 == 0 ? far : mixed;
            // Kernels that take 16 bytes at once, for every second shape that they can take.
            const bool rows_fit = last ? C % at_once == 0 && !transcription::few_channels(S, C)
                                       : S % at_once == 0 && plane_class(S) != kTiny;
            if (takes_aligned && rows_fit && ++fitting % 2 == 1)
                check({N, C, S}, {padding.c * at_once, padding.n * at_once, padding.at_end}, seed, fill_data, true);
            else
                check({N, C, S}, padding, seed, fill_data, false);
        }
}

}  // namespace

TEST_CASE("a device's kernels give the transcription's bits on tiny planes") { check_positions({2, 7, 15}); }

TEST_CASE("a device's kernels give the transcription's bits on small planes") {
    check_positions({16, 49, 64, 200, 511, 513, 1024});
}

TEST_CASE("a device's kernels give the transcription's bits on large planes") {
    check_positions({1025, 1160, 2049, 4096, 8193});
}
