#include "calls.h"

#include "../../bench/copies.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <sstream>
#include <stdexcept>
#include <utility>

namespace hnorm::tune {
namespace {

constexpr double kEps = 1e-5;
constexpr uint8_t kPattern = 0x5a;

void check(hnorm_status status) {
    if (status != HNORM_OK) throw std::runtime_error(hnorm_last_error());
}

int64_t size_of(hnorm_type type) { return type == HNORM_F32 ? 4 : 2; }

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

template <typename T>
void pattern(std::vector<T> &values) {
    std::memset(values.data(), kPattern, values.size() * sizeof(T));
}

bool known(const std::string &op) {
    for (const char *name :
         {"forward", "moments", "normalize", "backward", "backward_reduce", "backward_apply", "forward_relu",
          "backward_relu", "forward_add_relu", "normalize_add_relu", "backward_add_relu"})
        if (op == name) return true;
    return false;
}

}  // namespace

int64_t Case::elements() const {
    int64_t count = 1;
    for (const int64_t extent : shape) count *= extent;
    return count;
}
int64_t Case::tensor_bytes() const { return elements() * size_of(type); }
int64_t Case::groups() const {
    return group == HNORM_BATCH      ? shape[1]
           : group == HNORM_INSTANCE ? shape[0] * shape[1]
                                     : shape[0] * (group - HNORM_GROUPS);
}

Case parse_case(const std::string &name) {
    const auto fail = [&](const std::string &what) -> Case { throw std::runtime_error("'" + name + "': " + what); };
    std::vector<std::string> parts;
    std::istringstream in(name);
    for (std::string part; std::getline(in, part, '/');) parts.push_back(part);
    if (parts.size() != 5) return fail("a row is op/group/layout/type/NxCx...");
    Case c;
    c.name = name;
    c.op = parts[0];
    if (!known(c.op)) return fail("no op '" + c.op + "'");
    const int64_t of_channels = parts[1].rfind("groups", 0) == 0 ? std::atoll(parts[1].c_str() + 6) : 0;
    if (parts[1] != "batch" && parts[1] != "instance" && of_channels < 1)
        return fail("the group is batch, instance or groupsG, as groups32");
    c.group = parts[1] == "batch" ? HNORM_BATCH : of_channels ? hnorm_groups(of_channels) : HNORM_INSTANCE;
    if (parts[2] != "channels_first" && parts[2] != "channels_last")
        return fail("the layout is channels_first or channels_last");
    c.channels_last = parts[2] == "channels_last";
    const std::vector<std::string> types = {"f32", "f16", "bf16"};
    const auto type = std::find(types.begin(), types.end(), parts[3]);
    if (type == types.end()) return fail("the type is f32, f16 or bf16");
    c.type = static_cast<hnorm_type>(type - types.begin());
    std::istringstream extents(parts[4]);
    for (std::string extent; std::getline(extents, extent, 'x');) {
        c.shape.push_back(std::atoll(extent.c_str()));
        if (c.shape.back() < 1) return fail("extents are positive numbers, with x between them");
    }
    if (c.shape.size() < 2 || c.shape.size() > HNORM_MAX_RANK) return fail("a shape has 2 to 5 extents");
    return c;
}

Calls::Calls(const std::vector<Case> &cases) {
    int64_t bytes = 1, groups = 1;
    for (const Case &c : cases) {
        bytes = std::max(bytes, c.tensor_bytes());
        groups = std::max(groups, c.shape[0] * c.shape[1]);
    }
    for (auto *tensor : {&x_, &dy_, &residual_, &y_, &dresidual_}) tensor->resize(bytes);
    for (auto *values : {&gamma_, &beta_, &dgamma_, &dbeta_}) values->resize(groups);
    for (auto *values : {&count_, &mean_, &variance_, &sums_, &more_sums_}) values->resize(groups, 1);
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
    for (auto *values : {&gamma_, &beta_})
        for (float &value : *values) value = next();
    std::fill(mean_.begin(), mean_.end(), 0.125);
    std::fill(variance_.begin(), variance_.end(), 1.25);
    std::fill(sums_.begin(), sums_.end(), 0.5);
    std::fill(more_sums_.begin(), more_sums_.end(), 0.25);
    std::fill(count_.begin(), count_.end(), static_cast<double>(elements / c.groups()));
    for (auto *tensor : {&y_, &dresidual_}) std::memset(tensor->data(), kPattern, elements * size);
    pattern(dgamma_);
    pattern(dbeta_);
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
    const hnorm_affine affine{placed(gamma_.data()), placed(beta_.data()), 0, 1};
    double *count = placed(count_.data()), *mean = placed(mean_.data()), *variance = placed(variance_.data());
    double *sums = placed(sums_.data()), *more = placed(more_sums_.data());
    float *dgamma = placed(dgamma_.data()), *dbeta = placed(dbeta_.data());
    const hnorm_group group = c.group;
    const bool add = c.op.find("_add") != std::string::npos, relu = c.op.find("_relu") != std::string::npos;
    const hnorm_activation activation = relu ? HNORM_RELU : HNORM_NO_ACTIVATION;

    if (c.op == "moments") return [=] { check(hnorm_moments(&x, group, count, mean, variance)); };
    if (c.op == "backward_reduce") return [=] { check(hnorm_backward_reduce(&x, &dy, group, mean, sums, more)); };
    if (c.op == "backward_apply")
        return
            [=] { check(hnorm_backward_apply(&x, &dy, group, count, mean, variance, sums, more, &affine, kEps, &dx)); };
    if (c.op.rfind("forward", 0) == 0)
        return [=] {
            const hnorm_post_ops post{activation, 0, add ? &residual : nullptr};
            check(hnorm_forward(&x, group, &affine, kEps, &post, &y, mean, variance));
        };
    if (c.op.rfind("normalize", 0) == 0)
        return [=] {
            const hnorm_post_ops post{activation, 0, add ? &residual : nullptr};
            check(hnorm_normalize(&x, group, mean, variance, &affine, kEps, &post, &y));
        };
    return [=] {
        const hnorm_post_ops_gradient post{activation, 0, add ? &residual : nullptr, add ? &dresidual : nullptr};
        check(hnorm_backward(&x, &dy, group, mean, variance, &affine, kEps, &post, &dx, dgamma, dbeta));
    };
}

std::function<void()> Calls::floor(const Case &c) {
    const auto floats = [](Memory &tensor) { return reinterpret_cast<float *>(tensor.data()); };
    float *x = floats(x_), *dy = floats(dy_), *residual = floats(residual_), *y = floats(y_),
          *dresidual = floats(dresidual_);
    const int64_t count = c.tensor_bytes() / static_cast<int64_t>(sizeof(float));
    const bool backward = c.op.rfind("backward", 0) == 0, with_residual = c.op.find("_add") != std::string::npos;
    return [=] {
        if (backward || with_residual)
            bench::add(x, dy, y, count);
        else
            bench::copy(bench::Copy::kOrdinary, x, y, count);
        if (backward && with_residual) bench::copy(bench::Copy::kOrdinary, residual, dresidual, count);
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
    const bool backward = c.op.rfind("backward", 0) == 0;
    append_elements(bytes, in_place ? (backward ? dy_ : x_) : y_, c);
    append_elements(bytes, dresidual_, c);
    for (const auto *values : {&dgamma_, &dbeta_}) append(bytes, *values, c.groups());
    for (const auto *values : {&count_, &mean_, &variance_, &sums_, &more_sums_}) append(bytes, *values, c.groups());
    return bytes;
}

}  // namespace hnorm::tune
