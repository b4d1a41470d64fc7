// Each kernel for devices by itself, bit for bit, on every device that this machine has: HNORM_TEST_DEVICE names one of
// schedules/ ("opencl", which without a GPU is PoCL), HNORM_TEST_FORMAT the layout and type as elsewhere.
#include "catch.hpp"
#include "compare.h"
#include "device_kernels.h"
#include "expected.h"
#include "kernel_buffers.h"

#include <HalideRuntime.h>

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
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

void check(const Shape &shape, const Padding &padding, uint64_t seed) {
    constexpr int32_t zero = 0;
    constexpr double eps = 1e-5;
    const DeviceElementKernels &kernels = device().of[tensor_format().type];
    Tensor x(shape, padding), y(shape, padding), dy(shape, padding), residual(shape, padding);
    fill_mixed(x, seed);
    fill_mixed(dy, seed + 1);
    fill_mixed(residual, seed + 2);
    const bool last = tensor_format().channels_last;
    const PlaneClass reduction = last ? last_class(x.positions()) : plane_class(x.positions());
    const PlaneClass pointwise = last ? kLast : reduction == kTiny ? kSmall : reduction;
    for (hnorm_group group : kGroups) {
        const View view(x, group);
        const std::string where = " (" + std::string(device().name) + ") " + name(group) + " " + x.describe() +
                                  " seed " + std::to_string(seed);
        const auto of_groups = [&](std::vector<double> &values) {
            return std::make_unique<Buffer>(values.data(), kDouble, std::vector<int64_t>{view.g0, view.g1},
                                            std::vector<int64_t>{1, view.g0});
        };
        Statistics expected = transcribed_moments(x, group, Order::kKernel);
        TensorBuffer x_buffer(x, group), dy_buffer(dy, group), y_buffer(y, group), added(residual, group);
        StatisticsBuffer found_mean(view), found_m2(view);
        call("moments", where, kernels.moments[reduction], &x_buffer.raw, 1.0, zero, &found_mean.buffer.raw,
             &found_m2.buffer.raw);
        require_same(difference("mean", found_mean.result(), expected.mean), "moments" + where);
        require_same(difference("M2", found_m2.result(), expected.m2), "moments" + where);
        check_padding("moments", "x", x);

        std::vector<double> mean = expected.mean, variance = variances(expected), total = expected.count;
        const auto mean_buffer = of_groups(mean), variance_buffer = of_groups(variance),
                   total_buffer = of_groups(total);
        const Affine affine(AffineKind::kChannel, x, seed);
        Affine parameters = affine;
        Buffer gamma(parameters.gammas.data(), kFloat, {view.g0, view.g1}, {1, 0});
        Buffer beta(parameters.betas.data(), kFloat, {view.g0, view.g1}, {1, 0});
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
                call("normalize", place, kernels.normalize[pointwise], &source.raw, &mean_buffer->raw,
                     &variance_buffer->raw, &gamma.raw, &beta.raw, eps, slope, zero, &y_buffer.raw);
                check_padding("normalize", "y", y);
                require_same(difference(y, transcribed_normalize(x, group, mean, variance, affine, eps, {activation})),
                             "normalize" + place);
                prepare();
                call("normalize_residual", place, kernels.normalize_residual[pointwise], &source.raw, &mean_buffer->raw,
                     &variance_buffer->raw, &gamma.raw, &beta.raw, eps, slope, &added.raw, zero, &y_buffer.raw);
                check_padding("normalize_residual", "y", y);
                require_same(difference(y, transcribed_normalize(x, group, mean, variance, affine, eps,
                                                                 {activation, &residual})),
                             "normalize_residual" + place);
            }

            // dz from z, of which the kernels of backward make a dy
            const std::vector<float> z = transcribed_z(x, group, mean, variance, affine, eps);
            Tensor dz(shape, padding);
            dz.set_exact(transcribed_gate(dy, z, activation));
            const Sums sums = transcribed_sums(x, dz, group, mean, Order::kKernel);
            StatisticsBuffer sum_dy(view), sum_dy_xmu(view);
            call("backward_reduce", place, kernels.backward_reduce[reduction], &x_buffer.raw, &dy_buffer.raw,
                 &mean_buffer->raw, &variance_buffer->raw, &gamma.raw, &beta.raw, eps, slope, zero, &sum_dy.buffer.raw,
                 &sum_dy_xmu.buffer.raw);
            require_same(difference("sum of dy", sum_dy.result(), sums.dy), "backward_reduce" + place);
            require_same(difference("sum of dy*(x - mean)", sum_dy_xmu.result(), sums.dy_xmu),
                         "backward_reduce" + place);

            WeightedSums weights = transcribed_weights(x, group, sums, affine);
            StatisticsBuffer g1(view), g2(view), count(view);
            std::vector<double> dy_sums = sums.dy, dy_xmu_sums = sums.dy_xmu;
            const auto of_dy = of_groups(dy_sums), of_dy_xmu = of_groups(dy_xmu_sums);
            call("weigh", place, device().weigh, &of_dy->raw, &of_dy_xmu->raw, &gamma.raw, 0, 7.0, zero, &g1.buffer.raw,
                 &g2.buffer.raw, &count.buffer.raw);
            require_same(difference("g1", g1.result(), weights.g1), "weigh" + place);
            require_same(difference("g2", g2.result(), weights.g2), "weigh" + place);

            // From weighted sums and a count for each group, and from the groups' own sums and their common count.
            const auto g1_buffer = of_groups(weights.g1), g2_buffer = of_groups(weights.g2);
            const std::vector<float> dx = transcribed_dx(x, dz, group, total, mean, variance, weights, affine, eps);
            for (const bool own : {false, true}) {
                y.clear();
                y.store();
                call("backward_apply", place, kernels.backward_apply[pointwise], &x_buffer.raw, &dy_buffer.raw,
                     &mean_buffer->raw, &variance_buffer->raw, &gamma.raw, &beta.raw, &(own ? of_dy : g1_buffer)->raw,
                     &(own ? of_dy_xmu : g2_buffer)->raw, &total_buffer->raw, eps, slope, own ? total[0] : 0.0, zero,
                     &y_buffer.raw);
                check_padding("backward_apply", "dx", y);
                require_same(difference(y, dx), "backward_apply" + place);
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

void check_positions(const std::vector<int64_t> &positions) {
    if (!open_library(device().name == std::string("cuda") ? "libcuda.so" : "libOpenCL.so")) {
        if (std::getenv("HNORM_TEST_DEVICE_NEEDED")) FAIL("no driver for " << device().name << " here");
        std::printf("skipped: no driver for %s here\n", device().name);  // ctest takes this line for a reason to skip
        return;
    }
    constexpr int64_t kCounts[][2] = {{1, 1}, {1, 17}, {3, 2}, {17, 3}, {2, 70}};
    uint64_t seed = 0;
    for (int64_t S : positions)
        for (const auto &[N, C] : kCounts) {
            if (N * C * S > 20'000) continue;
            seed++;
            check({N, C, S}, {static_cast<int64_t>(seed % 3), static_cast<int64_t>(seed % 5), seed % 2 == 0}, seed);
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
