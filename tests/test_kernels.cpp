// Each compiled kernel by itself, from the runtime's private table, on shapes and strides for which the runtime would
// choose another: groups and split, every class, every target, bit for bit.
#include "catch.hpp"
#include "compare.h"
#include "expected.h"
#include "kernel_buffers.h"
#include "machine.h"

#include <memory>
#include <string>
#include <vector>

using namespace test;
using namespace hnorm::detail;

namespace {

void require_same(const std::string &difference, const std::string &where) {
    if (!difference.empty()) FAIL(where << ": " << difference);
}

// A row's kernels of one target, for the run's type of elements.
class Kernels {
public:
    explicit Kernels(const std::string &target) : target_(&hnorm_targets[0]) {
        while (target != target_->name) target_++;
    }
    template <typename Kernel>
    const Kernel *operator()(const Kernel (*row)[kElementTypes][kPlaneClasses]) const {
        return row[target_->index][tensor_format().type];
    }

private:
    const Target *target_;
};

// The classes of x's planes for reductions and for pointwise kernels.
struct Classes {
    PlaneClass reduction, pointwise;
    explicit Classes(const Tensor &x)
        : reduction(x.format().channels_last ? last_class(x.positions()) : plane_class(x.positions())),
          pointwise(x.format().channels_last ? kLast : plane_class(x.positions())) {}
};

template <typename Kernel>
struct Names {
    Kernel kernel;
    const char *name;
};

// What the kernels of a group read and give: statistics as given buffers, and the transcription's results.
struct Backward {
    std::vector<double> mean, variance, total;
    Sums sums;
    WeightedSums weights;
    std::vector<float> dx;

    Backward(const Tensor &x, const Tensor &dy, hnorm_group group, const Statistics &moments, const Affine &affine,
             double eps)
        : mean(moments.mean),
          variance(variances(moments)),
          total(moments.count),
          sums(transcribed_sums(x, dy, group, mean, Order::kKernel)),
          weights(transcribed_weights(x, group, sums, affine)),
          dx(transcribed_dx(x, dy, group, total, mean, variance, weights, affine, eps)) {}
};

void check_backward(const Kernels &kernels, const Tensor &x, const Tensor &dy, Tensor &dx, hnorm_group group,
                    Buffer &gamma, Buffer &beta, double eps, int32_t slope, Backward expected,
                    const std::string &where) {
    const Classes classes(x);
    const View view(x, group);
    const auto given = [&](std::vector<double> &values) {
        return std::make_unique<Buffer>(values.data(), kDouble, std::vector<int64_t>{view.g0, view.g1},
                                        std::vector<int64_t>{1, view.g0});
    };
    const auto mean = given(expected.mean), variance = given(expected.variance), total = given(expected.total);
    const auto g1 = given(expected.weights.g1), g2 = given(expected.weights.g2);
    TensorBuffer x_buffer(x, group), dy_buffer(dy, group), dx_buffer(dx, group);
    const auto require_sums = [&](const StatisticsBuffer &sum_dy, const StatisticsBuffer &sum_dy_xmu,
                                  const std::string &place) {
        require_same(difference("sum of dy", sum_dy.result(), expected.sums.dy), place);
        require_same(difference("sum of dy*(x - mean)", sum_dy_xmu.result(), expected.sums.dy_xmu), place);
    };

    for (const auto &reduce :
         {Names<BackwardReduceKernel>{kernels(hnorm_kernels_backward_reduce)[classes.reduction], "backward_reduce"},
          Names<BackwardReduceKernel>{kernels(hnorm_kernels_backward_reduce_split)[classes.reduction],
                                      "backward_reduce_split"}}) {
        if (!reduce.kernel) continue;
        StatisticsBuffer sum_dy(view), sum_dy_xmu(view);
        if (reduce.kernel(&x_buffer.raw, &dy_buffer.raw, &mean->raw, &variance->raw, &gamma.raw, &beta.raw, eps, slope,
                          &sum_dy.buffer.raw, &sum_dy_xmu.buffer.raw))
            FAIL(reduce.name << where << ": the kernel failed");
        require_sums(sum_dy, sum_dy_xmu, reduce.name + where);
        check_padding(reduce.name, "x", x);
        check_padding(reduce.name, "dy", dy);
    }

    enum class Place { kApart, kDy, kX };
    for (Place place : {Place::kApart, Place::kDy, Place::kX}) {
        Buffer &from_x = place == Place::kX ? dx_buffer : x_buffer,
               &from_dy = place == Place::kDy ? dx_buffer : dy_buffer;
        const std::string in = (place == Place::kX    ? " in place of x"
                                : place == Place::kDy ? " in place of dy"
                                                      : "") +
                               where;
        const auto prepare = [&] {
            dx.clear();
            if (place != Place::kApart) dx.copy_elements(place == Place::kX ? x : dy);
            dx.store();
        };
        if (kernels(hnorm_kernels_backward)[classes.pointwise]) {
            prepare();
            StatisticsBuffer sum_dy(view), sum_dy_xmu(view);
            if (kernels(hnorm_kernels_backward)[classes.pointwise](
                    &from_x.raw, &from_dy.raw, &mean->raw, &variance->raw, &gamma.raw, &beta.raw, eps, slope,
                    &dx_buffer.raw, &sum_dy.buffer.raw, &sum_dy_xmu.buffer.raw))
                FAIL("backward" << in << ": the kernel failed");
            require_same(difference(dx, expected.dx), "backward" + in);
            require_sums(sum_dy, sum_dy_xmu, "backward" + in);
            check_padding("backward", "dx", dx);
        }

        prepare();
        if (kernels(hnorm_kernels_backward_apply)[classes.pointwise](&from_x.raw, &from_dy.raw, &mean->raw,
                                                                     &variance->raw, &gamma.raw, &beta.raw, &g1->raw,
                                                                     &g2->raw, &total->raw, eps, slope, &dx_buffer.raw))
            FAIL("backward_apply" << in << ": the kernel failed");
        require_same(difference(dx, expected.dx), "backward_apply" + in);
        check_padding("backward_apply", "dx", dx);
    }
}

void check(const Shape &shape, Padding padding, uint64_t seed, const std::vector<int> &thread_counts) {
    Tensor x(shape, padding), y(shape, {padding.c + 1, padding.n, !padding.at_end});
    Tensor dy(shape, {padding.n, padding.c, padding.at_end});
    if (seed % 2)
        fill_mixed(x, seed);
    else
        fill(x, {kAllKinds[seed / 2 % kKinds], seed % 3 ? 100.0 : 0.0, 1, seed});
    if (seed / 2 % 2)
        fill_mixed(dy, seed + 5000);
    else
        fill(dy, {kAllKinds[seed / 4 % kKinds], 1, 1, seed + 5000});
    const Classes classes(x);
    const double eps = 1e-5;
    const Activation activation = kActivations[seed % 5];
    const int32_t slope = slope_bits(activation.slope());
    Tensor residual(shape, {padding.n % 3, 1, !padding.at_end});
    fill(residual, {Kind::kNormal, 0, 1, seed + 9000});
    moments(x, HNORM_BATCH);  // the first call of the library puts its parallel loop into Halide's runtime

    for (hnorm_group group : kGroups) {
        const View view(x, group);
        // Per sample and channel exists for the kernels where g1 is the sample: as batch they see g1 = 1.
        Affine affine(group == HNORM_BATCH ? AffineKind::kChannel : AffineKind::kSampleAndChannel, x, seed);
        Buffer gamma(affine.gammas.data(), kFloat, {view.g0, view.g1}, {1, view.g0});
        Buffer beta(affine.betas.data(), kFloat, {view.g0, view.g1}, {1, view.g0});
        const Statistics expected = transcribed_moments(x, group, Order::kKernel);
        std::vector<double> mean = expected.mean, variance = variances(expected);
        const std::vector<float> z = transcribed_z(x, group, mean, variance, affine, eps);
        const std::vector<float> expected_y =
            transcribed_normalize(x, group, mean, variance, affine, eps, {activation});
        const std::vector<float> expected_sum =
            transcribed_normalize(x, group, mean, variance, affine, eps, {activation, &residual});
        Tensor dz(shape), of_z(shape, {1, 2, true}), dz_of_z(shape);
        dz.set_exact(transcribed_gate(dy, z, activation));
        of_z.set_elements(z);
        dz_of_z.set_elements(transcribed_gate(dy, of_z.values(), activation));
        const Backward expected_backward(x, dz, group, expected, affine, eps);

        for (const std::string &target : usable_targets()) {
            const Kernels kernels(target);
            for (int threads : thread_counts) {
                const Machine machine(target, threads);
                const std::string where = std::string("/") + name(group) + " " + x.describe() + ", seed " +
                                          std::to_string(seed) + ", " + machine.describe();
                TensorBuffer in(x, group);

                for (const auto &moments :
                     {Names<MomentsKernel>{kernels(hnorm_kernels_moments)[classes.reduction], "moments"},
                      Names<MomentsKernel>{kernels(hnorm_kernels_moments_split)[classes.reduction], "moments_split"}}) {
                    if (!moments.kernel) continue;
                    StatisticsBuffer found_mean(view), found_m2(view);
                    if (moments.kernel(&in.raw, &found_mean.buffer.raw, &found_m2.buffer.raw))
                        FAIL(moments.name << where << ": the kernel failed");
                    require_same(difference("mean", found_mean.result(), mean), moments.name + where);
                    require_same(difference("M2", found_m2.result(), expected.m2), moments.name + where);
                    check_padding(moments.name, "x", x);
                }

                for (bool in_place : {false, true}) {
                    const std::string place = in_place ? " in place" : "";
                    TensorBuffer result(y, group);
                    TensorBuffer &source = in_place ? result : in;
                    const auto prepare = [&] {
                        y.clear();
                        if (in_place) y.copy_elements(x);
                        y.store();
                    };
                    StatisticsBuffer found_mean(view), found_variance(view);
                    if (kernels(hnorm_kernels_forward)[classes.pointwise]) {
                        prepare();
                        if (kernels(hnorm_kernels_forward)[classes.pointwise](
                                &source.raw, &gamma.raw, &beta.raw, eps, slope, &result.raw, &found_mean.buffer.raw,
                                &found_variance.buffer.raw))
                            FAIL("forward" << place << where << ": the kernel failed");
                        require_same(difference(y, expected_y), "forward" + place + where);
                        require_same(difference("mean", found_mean.result(), mean), "forward" + place + where);
                        require_same(difference("variance", found_variance.result(), variance),
                                     "forward" + place + where);
                        check_padding("forward", "y", y);
                    }

                    prepare();
                    Buffer given_mean(mean.data(), kDouble, {view.g0, view.g1}, {1, view.g0});
                    Buffer given_variance(variance.data(), kDouble, {view.g0, view.g1}, {1, view.g0});
                    if (kernels(hnorm_kernels_normalize)[classes.pointwise](&source.raw, &given_mean.raw,
                                                                            &given_variance.raw, &gamma.raw, &beta.raw,
                                                                            eps, slope, &result.raw))
                        FAIL("normalize" << place << where << ": the kernel failed");
                    require_same(difference(y, expected_y), "normalize" + place + where);
                    check_padding("normalize", "y", y);

                    TensorBuffer added(residual, group);
                    if (kernels(hnorm_kernels_forward_residual)[classes.pointwise]) {
                        prepare();
                        if (kernels(hnorm_kernels_forward_residual)[classes.pointwise](
                                &source.raw, &gamma.raw, &beta.raw, eps, slope, &added.raw, &result.raw,
                                &found_mean.buffer.raw, &found_variance.buffer.raw))
                            FAIL("forward_residual" << place << where << ": the kernel failed");
                        require_same(difference(y, expected_sum), "forward_residual" + place + where);
                        require_same(difference("mean", found_mean.result(), mean), "forward_residual" + place + where);
                    }
                    prepare();
                    if (kernels(hnorm_kernels_normalize_residual)[classes.pointwise](
                            &source.raw, &given_mean.raw, &given_variance.raw, &gamma.raw, &beta.raw, eps, slope,
                            &added.raw, &result.raw))
                        FAIL("normalize_residual" << place << where << ": the kernel failed");
                    require_same(difference(y, expected_sum), "normalize_residual" + place + where);
                    check_padding("normalize_residual", "y", y);
                }
                TensorBuffer z_buffer(of_z, group), dy_buffer(dy, group), dz_buffer(y, group);
                y.clear();
                y.store();
                if (kernels(hnorm_kernels_activation_backward)[classes.pointwise](&z_buffer.raw, &dy_buffer.raw, slope,
                                                                                  &dz_buffer.raw))
                    FAIL("activation_backward" << where << ": the kernel failed");
                require_same(difference(y, dz_of_z.values()), "activation_backward" + where);
                check_backward(kernels, x, dy, y, group, gamma, beta, eps, slope, expected_backward, where);
            }
        }
    }
    SUCCEED();
}

void check_positions(const std::vector<int64_t> &positions) {
    constexpr int64_t kCounts[][2] = {{1, 1},  {1, 17}, {3, 2},  {17, 1}, {2, 33},
                                      {65, 1}, {5, 3},  {33, 5}, {70, 2}, {129, 1}};
    uint64_t seed = 0;
    for (int64_t S : positions) {
        for (const auto &[N, C] : kCounts) {
            if (N * C * S > 40'000) continue;
            seed++;
            const Padding padding{static_cast<int64_t>(seed % 5 == 1 ? 3 : 0),
                                  static_cast<int64_t>(seed % 7 == 2 ? 9 : 0), seed % 2 == 0};
            check({N, C, S}, padding, seed, {1, 2, 3, 7});
        }
    }
}

}  // namespace

TEST_CASE("every kernel for tiny planes gives the transcription's bits on shapes of any size") {
    check_positions({2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15});
}

TEST_CASE("every kernel for small planes gives the transcription's bits on shapes of any size") {
    std::vector<int64_t> list;
    for (int64_t S = 16; S <= 66; S++) list.push_back(S);
    for (int64_t S : {100, 196, 255, 257, 511, 512, 513, 514, 784, 1007, 1008, 1009, 1022, 1023, 1024})
        list.push_back(S);
    check_positions(list);
}

TEST_CASE("every kernel for large planes gives the transcription's bits on shapes of any size") {
    check_positions({1025, 1087, 1088, 1089, 2049, 4095, 4096, 4097, 4160, 4161, 8191, 8192, 8193, 12544});
}

TEST_CASE("every kernel gives the transcription's bits where chunks and groups outnumber the threads") {
    uint64_t seed = 500;
    for (const Shape &shape : std::vector<Shape>{{1, 1, 200'001},
                                                 {2, 3, 30'000},
                                                 {900, 2, 7, 7},
                                                 {2, 300, 14, 14},
                                                 {5000, 1, 3},
                                                 {300, 70, 2},
                                                 {20, 300, 9},
                                                 {2, 90, 33, 33},
                                                 {1, 40, 66, 66}})
        for (int i = 0; i < 2; i++) check(shape, {i * 5, i * 11, i == 0}, seed++, {1, 2, 3, 7});
}
