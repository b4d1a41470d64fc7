#include "workspace.h"

#include <algorithm>
#include <cstdlib>
#include <new>
#include <random>
#include <stdexcept>
#include <string>

namespace hnorm::bench {
namespace {

constexpr double kEps = 1e-5;

void check(hnorm_status status) {
    if (status != HNORM_OK)
        throw std::runtime_error(std::string(hnorm_status_name(status)) + ": " + hnorm_last_error());
}

template <typename Measure>
int64_t largest(Measure measure) {
    int64_t most = 0;
    for (const Shape &shape : kTableShapes) most = std::max(most, measure(shape));
    for (const Shape &shape : kFurtherShapes) most = std::max(most, measure(shape));
    return most;
}

}  // namespace

const char *op_name(Op op) {
    constexpr const char *kNames[] = {"forward",      "moments",          "normalize",     "backward",
                                      "forward_relu", "forward_add_relu", "backward_relu", "backward_add_relu"};
    return kNames[static_cast<int>(op)];
}

const char *group_name(hnorm_group group) { return group == HNORM_BATCH ? "batch" : "instance"; }

int64_t bytes_moved(Op op, const Shape &shape) {
    constexpr int kTensors[] = {2, 1, 2, 3, 2, 3, 3, 5};
    const int tensors = kTensors[static_cast<int>(op)];
    return shape.elements() * static_cast<int64_t>(sizeof(float)) * tensors;
}

void Workspace::Free::operator()(float *p) const { std::free(p); }

Workspace::Floats Workspace::allocate(int64_t count) {
    constexpr size_t kAlignment = 64;
    const size_t bytes = (count * sizeof(float) + kAlignment - 1) / kAlignment * kAlignment;
    float *p = static_cast<float *>(std::aligned_alloc(kAlignment, bytes));
    if (!p) throw std::bad_alloc();
    return Floats(p);
}

Workspace::Workspace() {
    const int64_t elements = largest([](const Shape &s) { return s.elements(); });
    const int64_t groups = largest([](const Shape &s) { return s.n * s.c; });
    x_ = allocate(elements);
    y_ = allocate(elements);
    dy_ = allocate(elements);
    residual_ = allocate(elements);
    dresidual_ = allocate(elements);
    // Random, since constant data would take the kernels' path for vanishing variance.
    std::minstd_rand random(1);
    for (int64_t i = 0; i < elements; i++) x_[i] = static_cast<float>(random()) / random.max() + 0.25f;
    for (int64_t i = 0; i < elements; i++) dy_[i] = static_cast<float>(random()) / random.max() - 0.25f;
    std::fill_n(y_.get(), elements, 0.0f);
    std::copy_n(dy_.get(), elements, residual_.get());
    std::fill_n(dresidual_.get(), elements, 0.0f);
    gamma_.assign(groups, 1.5f);
    beta_.assign(groups, 0.5f);
    dgamma_.assign(groups, 0.0f);
    dbeta_.assign(groups, 0.0f);
    count_.assign(groups, 0.0);
    mean_.assign(groups, 0.0);
    variance_.assign(groups, 0.0);
    kernel(Op::kForward, HNORM_BATCH, kTableShapes[0])();  // starts the thread pool
}

hnorm_tensor Workspace::view(const Floats &floats, const Shape &shape) {
    const int64_t extents[] = {shape.n, shape.c, shape.h, shape.w};
    return hnorm_channels_first(floats.get(), 4, extents);
}

Work Workspace::kernel(Op op, hnorm_group group, const Shape &shape) {
    const hnorm_tensor x = view(x_, shape), y = view(y_, shape);
    const hnorm_affine affine{gamma_.data(), beta_.data(), 0, 1};
    double *count = count_.data(), *mean = mean_.data(), *variance = variance_.data();

    if (op == Op::kMoments) return [=] { check(hnorm_moments(&x, group, count, mean, variance)); };
    if (op == Op::kForward || op == Op::kForwardRelu || op == Op::kForwardAddRelu) return forward(op, group, shape);
    check(hnorm_forward(&x, group, &affine, kEps, nullptr, &y, mean, variance));  // the statistics that the others take
    if (op != Op::kNormalize) return backward(op, group, shape);
    return [=] { check(hnorm_normalize(&x, group, mean, variance, &affine, kEps, nullptr, &y)); };
}

Work Workspace::forward(Op op, hnorm_group group, const Shape &shape) {
    const hnorm_tensor x = view(x_, shape), y = view(y_, shape), residual = view(residual_, shape);
    const hnorm_affine affine{gamma_.data(), beta_.data(), 0, 1};
    double *mean = mean_.data(), *variance = variance_.data();
    return [=] {
        const hnorm_post_ops post = {op == Op::kForward ? HNORM_NO_ACTIVATION : HNORM_RELU, 0,
                                     op == Op::kForwardAddRelu ? &residual : nullptr};
        check(hnorm_forward(&x, group, &affine, kEps, &post, &y, mean, variance));
    };
}

Work Workspace::backward(Op op, hnorm_group group, const Shape &shape) {
    // y takes dx; the residual, which is as random, serves as the y that forward wrote.
    const hnorm_tensor x = view(x_, shape), dx = view(y_, shape), dy = view(dy_, shape), y = view(residual_, shape),
                       dresidual = view(dresidual_, shape);
    const hnorm_affine affine{gamma_.data(), beta_.data(), 0, 1};
    double *mean = mean_.data(), *variance = variance_.data();
    float *dgamma = dgamma_.data(), *dbeta = dbeta_.data();
    return [=] {
        const bool add = op == Op::kBackwardAddRelu;
        const hnorm_post_ops_gradient post = {op == Op::kBackward ? HNORM_NO_ACTIVATION : HNORM_RELU, 0,
                                              add ? &y : nullptr, add ? &dresidual : nullptr};
        check(hnorm_backward(&x, &dy, group, mean, variance, &affine, kEps, &post, &dx, dgamma, dbeta));
    };
}

Work Workspace::copy(Copy kind, const Shape &shape) {
    const float *x = x_.get();
    float *y = y_.get();
    const int64_t count = shape.elements();
    return [=] { bench::copy(kind, x, y, count); };
}

Work Workspace::floor(Op op, const Shape &shape) {
    const int64_t tensors = bytes_moved(op, shape) / (shape.elements() * static_cast<int64_t>(sizeof(float)));
    if (tensors < 3) return copy(Copy::kOrdinary, shape);
    const float *x = x_.get(), *dy = dy_.get(), *residual = residual_.get();
    float *dx = y_.get(), *dresidual = dresidual_.get();
    const int64_t count = shape.elements();
    return [=] {
        add(x, dy, dx, count);
        if (tensors == 5) bench::copy(Copy::kOrdinary, residual, dresidual, count);
    };
}

Comparison Workspace::compare_with_floor(Op op, hnorm_group group, const Shape &shape, const Effort &effort) {
    return compare(floor(op, shape), kernel(op, group, shape), effort);
}

CopySpeeds Workspace::compare_copies(const Shape &shape, const Effort &effort) {
    const Work floor = copy(Copy::kOrdinary, shape);
    CopySpeeds speeds{};
    speeds.memcpy_ = compare(floor, copy(Copy::kMemcpy, shape), effort, Caches::kOfItsOwn);
    speeds.streaming = compare(floor, copy(Copy::kStreaming, shape), effort, Caches::kOfItsOwn);
    speeds.floor_seconds = speeds.memcpy_.reference_seconds;
    speeds.fastest = Copy::kOrdinary;
    speeds.fastest_ratio = 1;
    if (speeds.memcpy_.ratio > speeds.fastest_ratio) {
        speeds.fastest = Copy::kMemcpy;
        speeds.fastest_ratio = speeds.memcpy_.ratio;
    }
    if (speeds.streaming.ratio > speeds.fastest_ratio) {
        speeds.fastest = Copy::kStreaming;
        speeds.fastest_ratio = speeds.streaming.ratio;
    }
    return speeds;
}

}  // namespace hnorm::bench
