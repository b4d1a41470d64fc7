#include "workspace.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <random>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

namespace hnorm::bench {
namespace {

constexpr double kEps = 1e-5;

void check(hnorm_status status) {
    if (status != HNORM_OK)
        throw std::runtime_error(std::string(hnorm_status_name(status)) + ": " + hnorm_last_error());
}

// The copies move floats, whatever the bytes stand for.
template <typename Memory>
float *as_floats(const Memory &memory) {
    return reinterpret_cast<float *>(memory.get());
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

std::string Format::name() const {
    constexpr const char *kTypes[] = {"f32", "f16", "bf16"};
    return std::string(channels_last ? "channels_last/" : "channels_first/") + kTypes[type];
}

int64_t bytes_moved(Op op, const Shape &shape, const Format &format) {
    constexpr int kTensors[] = {2, 1, 2, 3, 2, 3, 3, 5};
    return shape.elements() * format.element_size() * kTensors[static_cast<int>(op)];
}

void Workspace::Free::operator()(char *p) const { std::free(p); }

Workspace::Memory Workspace::allocate(int64_t bytes) {
    constexpr int64_t kAlignment = 64;
    const int64_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    char *p = static_cast<char *>(std::aligned_alloc(kAlignment, static_cast<size_t>(rounded)));
    if (!p) throw std::bad_alloc();
    std::memset(p, 0, static_cast<size_t>(rounded));
    return Memory(p);
}

Workspace::Tensors &Workspace::tensors(hnorm_type type) {
    const auto found = tensors_.find(type);
    if (found != tensors_.end()) return found->second;
    const int64_t elements = largest([](const Shape &s) { return s.elements(); });
    Tensors made;
    for (Memory *memory : {&made.x, &made.y, &made.dy, &made.residual, &made.dresidual})
        *memory = allocate(elements * Format{false, type}.element_size());
    // Random, since constant data would take the kernels' path for vanishing variance: from 0.5 to 2, all of the type's
    // values there alike; half of those of dy and the residual negative.
    std::minstd_rand random(1);
    for (Memory *memory : {&made.x, &made.dy, &made.residual}) {
        const bool negative = memory != &made.x;
        const auto fill = [&](auto *data, uint32_t half, uint32_t below_two, uint32_t sign) {
            for (int64_t i = 0; i < elements; i++)
                data[i] = static_cast<std::remove_reference_t<decltype(*data)>>(
                    (half + (random() >> 3) % (below_two - half)) | (negative && random() % 2 ? sign : 0));
        };
        if (type == HNORM_F32)
            fill(reinterpret_cast<uint32_t *>(memory->get()), 0x3f000000, 0x40000000, 0x80000000);
        else if (type == HNORM_F16)
            fill(reinterpret_cast<uint16_t *>(memory->get()), 0x3800, 0x4000, 0x8000);
        else
            fill(reinterpret_cast<uint16_t *>(memory->get()), 0x3f00, 0x4000, 0x8000);
    }
    return tensors_[type] = std::move(made);
}

Workspace::Workspace() {
    const int64_t groups = largest([](const Shape &s) { return s.n * s.c; });
    gamma_.assign(groups, 1.5f);
    beta_.assign(groups, 0.5f);
    dgamma_.assign(groups, 0.0f);
    dbeta_.assign(groups, 0.0f);
    count_.assign(groups, 0.0);
    mean_.assign(groups, 0.0);
    variance_.assign(groups, 0.0);
    kernel(Op::kForward, HNORM_BATCH, kTableShapes[0])();  // starts the thread pool
}

hnorm_tensor Workspace::view(const Memory &memory, const Shape &shape, const Format &format) {
    const int64_t extents[] = {shape.n, shape.c, shape.h, shape.w};
    return hnorm_dense(memory.get(), format.type, format.channels_last, 4, extents);
}

Work Workspace::kernel(Op op, hnorm_group group, const Shape &shape, const Format &format) {
    const Tensors &memory = tensors(format.type);
    const hnorm_tensor x = view(memory.x, shape, format), y = view(memory.y, shape, format);
    const hnorm_affine affine{gamma_.data(), beta_.data(), 0, 1};
    double *count = count_.data(), *mean = mean_.data(), *variance = variance_.data();

    if (op == Op::kMoments) return [=] { check(hnorm_moments(&x, group, count, mean, variance)); };
    if (op == Op::kForward || op == Op::kForwardRelu || op == Op::kForwardAddRelu)
        return forward(op, group, shape, format);
    check(hnorm_forward(&x, group, &affine, kEps, nullptr, &y, mean, variance));  // the statistics that the others take
    if (op != Op::kNormalize) return backward(op, group, shape, format);
    return [=] { check(hnorm_normalize(&x, group, mean, variance, &affine, kEps, nullptr, &y)); };
}

Work Workspace::forward(Op op, hnorm_group group, const Shape &shape, const Format &format) {
    const Tensors &memory = tensors(format.type);
    const hnorm_tensor x = view(memory.x, shape, format), y = view(memory.y, shape, format),
                       residual = view(memory.residual, shape, format);
    const hnorm_affine affine{gamma_.data(), beta_.data(), 0, 1};
    double *mean = mean_.data(), *variance = variance_.data();
    return [=] {
        const hnorm_post_ops post = {op == Op::kForward ? HNORM_NO_ACTIVATION : HNORM_RELU, 0,
                                     op == Op::kForwardAddRelu ? &residual : nullptr};
        check(hnorm_forward(&x, group, &affine, kEps, &post, &y, mean, variance));
    };
}

Work Workspace::backward(Op op, hnorm_group group, const Shape &shape, const Format &format) {
    const Tensors &memory = tensors(format.type);
    // y takes dx; the residual, which is as random, serves as the y that forward wrote.
    const hnorm_tensor x = view(memory.x, shape, format), dx = view(memory.y, shape, format),
                       dy = view(memory.dy, shape, format), y = view(memory.residual, shape, format),
                       dresidual = view(memory.dresidual, shape, format);
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

Work Workspace::copy(Copy kind, const Shape &shape, const Format &format) {
    const Tensors &memory = tensors(format.type);
    const float *x = as_floats(memory.x);
    float *y = as_floats(memory.y);
    const int64_t count = shape.elements() * format.element_size() / 4;
    return [=] { bench::copy(kind, x, y, count); };
}

Work Workspace::floor(Op op, const Shape &shape, const Format &format) {
    const int64_t tensors = bytes_moved(op, shape, format) / (shape.elements() * format.element_size());
    if (tensors < 3) return copy(Copy::kOrdinary, shape, format);
    const Tensors &memory = this->tensors(format.type);
    const float *x = as_floats(memory.x), *dy = as_floats(memory.dy), *residual = as_floats(memory.residual);
    float *dx = as_floats(memory.y), *dresidual = as_floats(memory.dresidual);
    const int64_t count = shape.elements() * format.element_size() / 4;
    return [=] {
        add(x, dy, dx, count);
        if (tensors == 5) bench::copy(Copy::kOrdinary, residual, dresidual, count);
    };
}

Comparison Workspace::compare_with_floor(Op op, hnorm_group group, const Shape &shape, const Effort &effort,
                                         const Format &format) {
    return compare(floor(op, shape, format), kernel(op, group, shape, format), effort);
}

Comparison Workspace::compare_with_plain(Op op, hnorm_group group, const Shape &shape, const Effort &effort,
                                         const Format &format) {
    return compare(kernel(op, group, shape), kernel(op, group, shape, format), effort);
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
