#include "calls.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <stdexcept>
#include <utility>

namespace hnorm::bench {
namespace {

constexpr double kEps = 1e-5;
constexpr uint8_t kPattern = 0x5a;

void check(hnorm_status status) {
    if (status != HNORM_OK) throw std::runtime_error(hnorm_last_error());
}

// A float as an element: the nearest towards 0. For normal numbers in the type's range, and NaN.
void store(float value, hnorm_type type, uint8_t *p) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    if (type == HNORM_F32) {
        std::memcpy(p, &bits, sizeof bits);
        return;
    }
    uint16_t half = static_cast<uint16_t>(bits >> 16);
    if (type == HNORM_F16) {
        const uint32_t magnitude = std::isnan(value) ? 0x7e00 : ((bits & 0x7fffffff) - (112u << 23)) >> 13;
        half = static_cast<uint16_t>((bits >> 16 & 0x8000) | magnitude);
    }
    std::memcpy(p, &half, sizeof half);
}

float hard(float value, int64_t channel, hnorm_type type, bool first) {
    switch (channel % 5) {
    case 1: return 1.5f;
    case 2: return type == HNORM_F16 ? value * 8192 : value * 1e25f;
    case 3: return value / 16 + 1000;
    case 4: return first ? std::nanf("") : value;
    default: return value;
    }
}

// One NaN for all: which one comes out is not promised.
void unify(float &value) {
    if (std::isnan(value)) value = std::nanf("");
}
void unify(double &value) {
    if (std::isnan(value)) value = std::nan("");
}

template <typename T>
void append(std::vector<uint8_t> &bytes, const std::vector<T> &values, int64_t count) {
    std::vector<T> copy(values.begin(), values.begin() + count);
    for (T &value : copy) unify(value);
    const auto *first = reinterpret_cast<const uint8_t *>(copy.data());
    bytes.insert(bytes.end(), first, first + count * sizeof(T));
}

void append_elements(std::vector<uint8_t> &bytes, const Memory &tensor, const Case &c) {
    const size_t start = bytes.size();
    bytes.insert(bytes.end(), tensor.data(), tensor.data() + c.tensor_bytes());
    if (c.type == HNORM_F32) {
        for (size_t i = start; i < bytes.size(); i += 4) {
            float value;
            std::memcpy(&value, &bytes[i], 4);
            unify(value);
            std::memcpy(&bytes[i], &value, 4);
        }
        return;
    }
    const uint16_t infinity = c.type == HNORM_F16 ? 0x7c00 : 0x7f80;
    for (size_t i = start; i < bytes.size(); i += 2) {
        uint16_t value;
        std::memcpy(&value, &bytes[i], 2);
        if ((value & 0x7fff) > infinity) value = 0x7fff;
        std::memcpy(&bytes[i], &value, 2);
    }
}

}  // namespace

void Calls::reserve(const std::vector<Case> &cases) {
    int64_t bytes = 1, groups = 1;
    for (const Case &c : cases) {
        bytes = std::max(bytes, c.tensor_bytes());
        groups = std::max(groups, c.shape[0] * c.shape[1]);
    }
    for (auto *tensor : {&x_, &dy_, &residual_, &y_, &dresidual_}) tensor->reserve(bytes);
    const size_t values = std::max(gamma_.size(), static_cast<size_t>(groups));
    for (auto *array : {&gamma_, &beta_, &dgamma_, &dbeta_}) array->resize(values);
    for (auto *array : {&count_, &mean_, &variance_, &sums_, &more_sums_}) array->resize(values, 1);
}

void Calls::prepare(const Case &c, Data data) {
    const int64_t size = size_of(c.type), elements = c.elements(), channels = c.shape[1];
    const int64_t positions = elements / (c.shape[0] * channels);
    std::minstd_rand random(1);
    const auto next = [&] {
        const auto bits = random();
        const float magnitude = 0.25f + 1.75f * static_cast<float>(bits >> 8 & 0xffff) / 65536;
        return bits & 64 ? magnitude : -magnitude;
    };
    if (data == Data::kPlain) {
        // A block of random elements again and again: filling must not take longer than measuring.
        const int64_t block = std::min<int64_t>(elements, 1 << 18);
        for (auto *tensor : {&x_, &dy_, &residual_}) {
            for (int64_t i = 0; i < block; i++) store(next(), c.type, tensor->data() + i * size);
            for (int64_t i = block; i < elements; i += block)
                std::memcpy(tensor->data() + i * size, tensor->data(), std::min(block, elements - i) * size);
        }
    } else {
        for (auto *tensor : {&x_, &dy_, &residual_}) {
            for (int64_t i = 0; i < elements; i++) {
                const int64_t channel = c.channels_last ? i % channels : i / positions % channels;
                const bool first = c.channels_last ? i < channels : i % positions == 0;
                const float value = next();
                store(tensor == &x_ ? hard(value, channel, c.type, first) : value, c.type, tensor->data() + i * size);
            }
        }
    }
    for (auto *values : {&gamma_, &beta_}) std::generate_n(values->begin(), channels, next);
    for (auto *tensor : {&y_, &dresidual_}) std::memset(tensor->data(), kPattern, elements * size);
    prepare_groups(c);
}

void Calls::prepare_groups(const Case &c) {
    // A value for each channel or group; the arrays are those of the largest case.
    const int64_t values = std::max(c.shape[1], c.groups());
    std::fill_n(mean_.begin(), values, 0.125);
    std::fill_n(variance_.begin(), values, 1.25);
    std::fill_n(sums_.begin(), values, 0.5);
    std::fill_n(more_sums_.begin(), values, 0.25);
    std::fill_n(count_.begin(), values, static_cast<double>(c.elements() / c.groups()));
    for (auto *array : {&dgamma_, &dbeta_}) std::memset(array->data(), kPattern, values * sizeof(float));
}

hnorm_tensor Calls::tensor(uint8_t *data, const Case &c) const {
    hnorm_tensor t =
        hnorm_dense(placed(data), c.type, c.channels_last, static_cast<int>(c.shape.size()), c.shape.data());
    t.device = device_;
    return t;
}

std::function<void()> Calls::call(const Case &c, bool in_place) {
    const hnorm_tensor x = tensor(x_.data(), c), dy = tensor(dy_.data(), c), residual = tensor(residual_.data(), c);
    const hnorm_tensor y = in_place ? x : tensor(y_.data(), c), dx = in_place ? dy : tensor(y_.data(), c);
    const hnorm_tensor dresidual = tensor(dresidual_.data(), c);
    const hnorm_affine affine = hnorm_affine_of(placed(gamma_.data()), placed(beta_.data()));
    double *count = placed(count_.data()), *mean = placed(mean_.data()), *variance = placed(variance_.data());
    double *sums = placed(sums_.data()), *more = placed(more_sums_.data());
    float *dgamma = placed(dgamma_.data()), *dbeta = placed(dbeta_.data());
    const hnorm_group group = c.group;
    const PostOps post_ops = c.operation->post;
    const bool add = post_ops == PostOps::kAdd || post_ops == PostOps::kAddRelu;
    const hnorm_activation activation =
        post_ops == PostOps::kRelu || post_ops == PostOps::kAddRelu ? HNORM_RELU : HNORM_NO_ACTIVATION;
    const bool constants = c.operation->function == Function::kNormalizeBackward;

    switch (c.operation->function) {
    case Function::kMoments: return [=] { check(hnorm_moments(&x, group, count, mean, variance)); };
    case Function::kBackwardReduce: return [=] { check(hnorm_backward_reduce(&x, &dy, group, mean, sums, more)); };
    case Function::kBackwardApply:
        return
            [=] { check(hnorm_backward_apply(&x, &dy, group, count, mean, variance, sums, more, &affine, kEps, &dx)); };
    case Function::kForward:
        return [=] {
            const hnorm_post_ops post{sizeof post, activation, 0, add ? &residual : nullptr};
            check(hnorm_forward(&x, group, &affine, kEps, &post, &y, mean, variance));
        };
    case Function::kNormalize:
        return [=] {
            const hnorm_post_ops post{sizeof post, activation, 0, add ? &residual : nullptr};
            check(hnorm_normalize(&x, group, mean, variance, &affine, kEps, &post, &y));
        };
    case Function::kBackward:
    case Function::kNormalizeBackward:
        return [=] {
            const hnorm_post_ops_gradient post{sizeof post, activation, 0, add ? &residual : nullptr,
                                               add ? &dresidual : nullptr};
            const auto function = constants ? hnorm_normalize_backward : hnorm_backward;
            check(function(&x, &dy, group, mean, variance, &affine, kEps, &post, &dx, dgamma, dbeta));
        };
    case Function::kActivationBackward: return [=] { check(hnorm_activation_backward(&x, &dy, activation, 0, &dx)); };
    case Function::kCopy: break;
    }
    throw std::runtime_error("'" + c.name + "' is no call of hnorm");
}

std::function<void()> Calls::copy(Copy kind, const Case &c) {
    return [=, x = floats("x"), y = floats("y"), count = c.tensor_bytes() / static_cast<int64_t>(sizeof(float))] {
        bench::copy(kind, x, y, count);
    };
}

std::function<void()> Calls::floor(const Case &c) {
    if (c.operation->read == 1) return copy(Copy::kOrdinary, c);
    const float *x = floats("x"), *dy = floats("dy"), *residual = floats("residual");
    float *y = floats("y"), *dresidual = floats("dresidual");
    const int64_t count = c.tensor_bytes() / static_cast<int64_t>(sizeof(float));
    const bool both = c.operation->written == 2;
    return [=, more = c.operation->read == 3 ? residual : dy] {
        bench::add(x, dy, y, count);
        if (both) bench::copy(Copy::kOrdinary, more, dresidual, count);
    };
}

std::vector<Calls::Array> Calls::arrays() {
    std::vector<Array> all;
    const auto tensor = [&](const char *name, Memory &memory) { all.push_back({name, memory.size(), memory.data()}); };
    const auto values = [&](const char *name, auto &vector) {
        all.push_back({name, static_cast<int64_t>(vector.size() * sizeof vector[0]), vector.data()});
    };
    tensor("x", x_), tensor("dy", dy_), tensor("residual", residual_), tensor("y", y_), tensor("dresidual", dresidual_);
    values("gamma", gamma_), values("beta", beta_), values("dgamma", dgamma_), values("dbeta", dbeta_);
    values("count", count_), values("mean", mean_), values("variance", variance_);
    values("sums", sums_), values("more_sums", more_sums_);
    return all;
}

void *Calls::memory(const std::string &name) {
    for (const Array &array : arrays())
        if (name == array.name) return array.memory;
    return nullptr;
}

void Calls::place(hnorm_device device, std::function<void *(void *)> where) {
    device_ = device;
    where_ = std::move(where);
}

std::vector<uint8_t> Calls::results(const Case &c, bool in_place) const {
    std::vector<uint8_t> bytes;
    append_elements(bytes, in_place ? (c.operation->is_backward() ? dy_ : x_) : y_, c);
    append_elements(bytes, dresidual_, c);
    for (const auto *values : {&dgamma_, &dbeta_}) append(bytes, *values, c.groups());
    for (const auto *values : {&count_, &mean_, &variance_, &sums_, &more_sums_}) append(bytes, *values, c.groups());
    return bytes;
}

}  // namespace hnorm::bench
