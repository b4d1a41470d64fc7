// Each kernel for devices by itself, bit for bit, on every device that this machine has: HNORM_TEST_DEVICE names one of
// schedules/ ("opencl", which without a GPU is PoCL), HNORM_TEST_FORMAT the layout and type as elsewhere.
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

// Development packages have the names without a version, which Halide opens; drivers install the others.
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

// The data of x and dy.
using Fill = void (*)(Tensor &x, Tensor &dy, uint64_t seed);

void check(const Shape &shape, const Padding &padding, uint64_t seed, Fill fill_data) {
    constexpr int32_t zero = 0;
    constexpr double eps = 1e-5;
    const DeviceElementKernels &kernels = device().of[tensor_format().type];
    Tensor x(shape, padding), y(shape, padding), dy(shape, padding), residual(shape, padding);
    fill_data(x, dy, seed);
    fill_mixed(residual, seed + 2);
    const bool last = tensor_format().channels_last,
               narrow = last && transcription::narrow(x.positions(), x.channels());
    const PlaneClass reduction = last ? kLast : plane_class(x.positions());
    const PlaneClass pointwise = reduction == kTiny ? kSmall : reduction;
    for (hnorm_group group : kGroups) {
        const View view(x, group);
        const std::string where = " (" + std::string(device().name) + ") " + name(group) + " " + x.describe() +
                                  " seed " + std::to_string(seed);
        const auto require = [&](const auto &found, const auto &expected, const char *what, const std::string &place) {
            require_same(difference(what, found.result(), expected), place);
        };
        Affine affine(AffineKind::kChannel, x, seed);
        const auto gamma = given(affine.gammas, view, 0), beta = given(affine.betas, view, 0);

        // Moments, and what follows from them: by their count, as forward takes them, and by 1.
        Statistics moments = transcribed_moments(x, group);
        const size_t groups = moments.mean.size();
        std::vector<double> variance = variances(moments);
        std::vector<float> m, a, b;
        for (size_t g = 0; g < groups; g++) {
            const int64_t c = static_cast<int64_t>(g) % x.channels();
            const transcription::Pointwise z(moments.mean[g], variance[g], affine.gamma(0, c), affine.beta(0, c), eps);
            m.push_back(z.m);
            a.push_back(z.a);
            b.push_back(z.b);
        }
        std::vector<float> before(groups);  // of gradients of parameters
        for (size_t g = 0; g < groups; g++) before[g] = 0.5F + static_cast<float>(g);
        TensorBuffer x_buffer(x, group), dy_buffer(dy, group), y_buffer(y, group), added(residual, group);
        for (bool count : {false, true}) {
            std::vector<double> &of_m2 = count ? variance : moments.m2;
            Written<double> found_mean(view), found_m2(view), new_mean(view), new_variance(view);
            Written<float> found_m(view), found_a(view), found_b(view);
            const auto running_mean = given(moments.mean, view, view.g0),
                       running_variance = given(of_m2, view, view.g0);
            call("moments", where, (narrow ? kernels.moments_narrow : kernels.moments)[reduction], &x_buffer.raw,
                 &gamma->raw, &beta->raw, eps, count ? moments.count[0] : 1.0, &running_mean->raw,
                 &running_variance->raw, 0.75, 0.25, 1.5, zero, found_mean.raw(), found_m2.raw(), found_m.raw(),
                 found_a.raw(), found_b.raw(), new_mean.raw(), new_variance.raw());
            require(found_mean, moments.mean, "mean", "moments" + where);
            require(found_m2, of_m2, "M2", "moments" + where);
            require(new_mean, tracked(moments.mean, 1), "running mean", "moments" + where);
            require(new_variance, tracked(of_m2, 1.5), "running variance", "moments" + where);
            require(found_m, m, "m", "moments" + where);
            if (count) require(found_a, a, "a", "moments" + where);
            if (count) require(found_b, b, "b", "moments" + where);
        }
        check_padding("moments", "x", x);

        const auto mean = given(moments.mean, view, view.g0), of_variance = given(variance, view, view.g0);
        const auto of_m = given(m, view, view.g0), of_a = given(a, view, view.g0), of_b = given(b, view, view.g0);
        Written<float> found_m(view), found_a(view), found_b(view);
        call("coefficients", where, device().coefficients, &mean->raw, &of_variance->raw, &gamma->raw, &beta->raw, eps,
             zero, found_m.raw(), found_a.raw(), found_b.raw());
        require(found_m, m, "m", "coefficients" + where);
        require(found_a, a, "a", "coefficients" + where);
        require(found_b, b, "b", "coefficients" + where);

        for (const Activation &activation : {kActivations[0], kActivations[1], kActivations[2]}) {
            const int32_t slope = slope_bits(activation.slope());
            const std::string place = where + " " + activation.describe();
            for (bool in_place : {false, true}) {
                TensorBuffer &source = in_place ? y_buffer : x_buffer;
                const auto prepare = [&] {
                    y.clear();
                    if (in_place) y.copy_elements(x);
                    y.store();
                };
                prepare();
                call("normalize", place, kernels.normalize[pointwise], &source.raw, &of_m->raw, &of_a->raw, &of_b->raw,
                     slope, zero, &y_buffer.raw);
                check_padding("normalize", "y", y);
                require_same(
                    difference(y, transcribed_normalize(x, group, moments.mean, variance, affine, eps, {activation})),
                    "normalize" + place);
                prepare();
                call("normalize_residual", place, kernels.normalize_residual[pointwise], &source.raw, &of_m->raw,
                     &of_a->raw, &of_b->raw, slope, &added.raw, zero, &y_buffer.raw);
                check_padding("normalize_residual", "y", y);
                require_same(difference(y, transcribed_normalize(x, group, moments.mean, variance, affine, eps,
                                                                 {activation, &residual})),
                             "normalize_residual" + place);
                if (narrow || reduction == kLarge) continue;  // There is no such kernel.
                for (const bool adds : {false, true}) {
                    Written<double> found_mean(view), found_variance(view), new_mean(view), new_variance(view);
                    prepare();
                    call("fused_forward", place, kernels.fused_forward[reduction], &source.raw, &gamma->raw, &beta->raw,
                         eps, slope, static_cast<int32_t>(adds), adds ? &added.raw : &source.raw, &mean->raw,
                         &of_variance->raw, 0.75, 0.25, 1.5, zero, &y_buffer.raw, found_mean.raw(),
                         found_variance.raw(), new_mean.raw(), new_variance.raw());
                    check_padding("fused_forward", "y", y);
                    require_same(difference(y, transcribed_normalize(x, group, moments.mean, variance, affine, eps,
                                                                     {activation, adds ? &residual : nullptr})),
                                 "fused_forward" + place);
                    require(found_mean, moments.mean, "mean", "fused_forward" + place);
                    require(found_variance, variance, "variance", "fused_forward" + place);
                    require(new_mean, tracked(moments.mean, 1), "running mean", "fused_forward" + place);
                    require(new_variance, tracked(variance, 1.5), "running variance", "fused_forward" + place);
                }
            }

            // dz from z, of which the kernels of backward make a dy
            const std::vector<float> z = transcribed_z(x, group, moments.mean, variance, affine, eps);
            Tensor dz(shape, padding);
            dz.set_exact(transcribed_gate(dy, z, activation));
            Sums sums = transcribed_sums(x, dz, group, moments.mean);
            WeightedSums weights = transcribed_weights(x, group, sums, affine);
            std::vector<float> scale, k1, power, k2;
            for (size_t g = 0; g < groups; g++) {
                const transcription::BackwardPointwise dx(moments.mean[g], variance[g],
                                                          affine.gamma(0, static_cast<int64_t>(g) % x.channels()),
                                                          weights.g1[g], weights.g2[g], moments.count[g], eps);
                scale.push_back(dx.scale);
                k1.push_back(dx.k1);
                power.push_back(dx.power);
                k2.push_back(dx.k2);
            }
            Written<double> sum_dy(view), sum_dy_xmu(view);
            Written<float> back_m(view), back_scale(view), back_k1(view), back_power(view), back_k2(view);
            // The parameters' gradients, added to what was there before or not.
            Written<float> dgamma(view), dbeta(view);
            const auto require_gradients = [&](const std::string &kernel, bool keep) {
                std::vector<float> of_gamma, of_beta;
                for (size_t g = 0; g < groups; g++) {
                    const double invstd = variance[g] + eps == 0 ? 0 : 1 / std::sqrt(variance[g] + eps);
                    const float start = keep ? before[g] : -0.0F;
                    of_gamma.push_back(start + static_cast<float>(sums.dy_xmu[g] * invstd));
                    of_beta.push_back(start + static_cast<float>(sums.dy[g]));
                }
                require(dgamma, of_gamma, "dgamma", kernel);
                require(dbeta, of_beta, "dbeta", kernel);
            };
            const auto of_gamma = given(before, view, view.g0), of_beta = given(before, view, view.g0);
            const auto require_coefficients = [&](const std::string &kernel) {
                require(back_m, m, "m", kernel);
                require(back_scale, scale, "scale", kernel);
                require(back_k1, k1, "k1", kernel);
                require(back_power, power, "power", kernel);
                require(back_k2, k2, "k2", kernel);
            };
            for (const bool keep : {false, true}) {
                Written<float> back_a(view), back_b(view);
                call("backward_reduce", place,
                     (narrow ? kernels.backward_reduce_narrow : kernels.backward_reduce)[reduction], &x_buffer.raw,
                     &dy_buffer.raw, &mean->raw, &of_variance->raw, &gamma->raw, &beta->raw, eps, slope, &of_gamma->raw,
                     &of_beta->raw, static_cast<int32_t>(keep), zero, sum_dy.raw(), sum_dy_xmu.raw(), back_m.raw(),
                     back_scale.raw(), back_k1.raw(), back_power.raw(), back_k2.raw(), back_a.raw(), back_b.raw(),
                     dgamma.raw(), dbeta.raw());
                require(sum_dy, sums.dy, "sum of dy", "backward_reduce" + place);
                require(sum_dy_xmu, sums.dy_xmu, "sum of dy*(x - mean)", "backward_reduce" + place);
                require_coefficients("backward_reduce" + place);
                require(back_a, a, "a", "backward_reduce" + place);
                require(back_b, b, "b", "backward_reduce" + place);
                require_gradients("backward_reduce" + place, keep);
            }

            // From weighted sums, and from the groups' own.
            const auto count = given(moments.count, view, view.g0);
            for (const bool own : {false, true}) {
                const auto g1 = given(own ? sums.dy : weights.g1, view, view.g0);
                const auto g2 = given(own ? sums.dy_xmu : weights.g2, view, view.g0);
                call("gradient_coefficients", place, device().gradient_coefficients, &mean->raw, &of_variance->raw,
                     &gamma->raw, &g1->raw, &g2->raw, &count->raw, eps, static_cast<int32_t>(own), zero, back_m.raw(),
                     back_scale.raw(), back_k1.raw(), back_power.raw(), back_k2.raw());
                require_coefficients("gradient_coefficients" + place);
            }

            const auto of_scale = given(scale, view, view.g0), of_k1 = given(k1, view, view.g0),
                       of_power = given(power, view, view.g0), of_k2 = given(k2, view, view.g0);
            y.clear();
            y.store();
            call("backward_apply", place, kernels.backward_apply[pointwise], &x_buffer.raw, &dy_buffer.raw, &of_m->raw,
                 &of_scale->raw, &of_k1->raw, &of_power->raw, &of_k2->raw, &of_a->raw, &of_b->raw, slope, zero,
                 &y_buffer.raw);
            check_padding("backward_apply", "dx", y);
            require_same(difference(y, transcribed_dx(x, dz, group, moments.count, moments.mean, variance, weights,
                                                      affine, eps)),
                         "backward_apply" + place);

            for (const Tensor *overwritten : std::initializer_list<const Tensor *>{nullptr, &x, &dy}) {
                if (narrow || reduction == kLarge) continue;  // There is no such kernel.
                y.clear();
                if (overwritten) y.copy_elements(*overwritten);
                y.store();
                call("fused_backward", place, kernels.fused_backward[reduction],
                     overwritten == &x ? &y_buffer.raw : &x_buffer.raw,
                     overwritten == &dy ? &y_buffer.raw : &dy_buffer.raw, &mean->raw, &of_variance->raw, &gamma->raw,
                     &beta->raw, eps, slope, &of_gamma->raw, &of_beta->raw,
                     static_cast<int32_t>(overwritten != nullptr), zero, &y_buffer.raw, sum_dy.raw(), sum_dy_xmu.raw(),
                     dgamma.raw(), dbeta.raw());
                check_padding("fused_backward", "dx", y);
                require_same(difference(y, transcribed_dx(x, dz, group, moments.count, moments.mean, variance, weights,
                                                          affine, eps)),
                             "fused_backward" + place);
                require(sum_dy, sums.dy, "sum of dy", "fused_backward" + place);
                require(sum_dy_xmu, sums.dy_xmu, "sum of dy*(x - mean)", "fused_backward" + place);
                require_gradients("fused_backward" + place, overwritten != nullptr);
            }

            // x stands for y here: it has both signs
            std::vector<float> gated = transcribed_gate(dy, x.values(), activation);
            for (float &value : gated) value = rounded(value);
            y.clear();
            y.store();
            call("activation_backward", place, kernels.activation_backward[pointwise], &x_buffer.raw, &dy_buffer.raw,
                 slope, zero, &y_buffer.raw);
            require_same(difference(y, gated), "activation_backward" + place);
        }
    }
    SUCCEED();
}

void mixed(Tensor &x, Tensor &dy, uint64_t seed) {
    fill_mixed(x, seed);
    fill_mixed(dy, seed + 1);
}

// Groups that are summed again for their center, as they are or after their range.
void far(Tensor &x, Tensor &dy, uint64_t seed) {
    fill(x, {Kind::kFarSample, 0, seed % 3 == 0 ? 1e-14 : seed % 3 == 1 ? 1.0 : 1e14, seed});
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
    // 70 planes are several runs, also of the smallest planes.
    constexpr int64_t kCounts[][2] = {{1, 1}, {1, 17}, {3, 2}, {17, 3}, {2, 70}, {70, 3}};
    uint64_t seed = 0;
    for (int64_t S : positions)
        for (const auto &[N, C] : kCounts) {
            if (N * C * S > 20'000) continue;
            seed++;
            check({N, C, S}, {static_cast<int64_t>(seed % 3), static_cast<int64_t>(seed % 5), seed % 2 == 0}, seed,
                  seed % 4 == 0 ? far : mixed);
        }
}

}  // namespace

TEST_CASE("a device's kernels give the transcription's bits on tiny planes") { check_positions({2, 7, 15}); }

TEST_CASE("a device's kernels give the transcription's bits on small planes") {
    check_positions({16, 49, 64, 511, 513, 1024});
}

TEST_CASE("a device's kernels give the transcription's bits on large planes") {
    check_positions({1025, 2049, 4096, 8193});
}
