// Batch norm over ranks whose tensors lie on a device (OpenCL): all ranks have the same statistics
// and gradients, and they are those of one process on the CPU, but for the last digits.
#include "../ranks.h"
#include "driver_that_aborts.h"

#include <hnorm/gpu.hpp>
#include <hnorm/hnorm.hpp>

#include <cstdio>
#include <cstdlib>
#include <optional>

using namespace api;
using namespace ranks;
using hnorm::Device;
using hnorm::DeviceArray;

namespace {

constexpr int64_t kC = 5, kS = 77;
constexpr Device kDevice = Device::opencl;

// The program ends where there is no OpenCL, as skipped.
void skip_without_driver() {
    on_device::skip_where_driver_aborts([] { hnorm_use_opencl(nullptr, nullptr); });
    if (hnorm_use_opencl(nullptr, nullptr) == HNORM_UNSUPPORTED) {
        std::printf("skipped: no driver: %s\n", hnorm_last_error());  // ctest takes this line for a reason to skip
        std::exit(0);
    }
}

struct Trained {
    std::vector<float> y, dx, dresidual, gamma_grad, beta_grad;
    std::vector<double> running_mean, running_var;
};
struct Problem {
    std::vector<float> x, dy, residual;
    bool relu = false, add = false;

    explicit Problem(int64_t samples) {
        for (std::vector<float> *values : {&x, &dy, &residual}) values->resize(static_cast<size_t>(samples * kC * kS));
        fill(x, 1), fill(dy, 2), fill(residual, 3);
        for (size_t i = 0; i < x.size(); i++) x[i] = 2 * x[i] + static_cast<float>(i / kS % kC);
    }
    hnorm::Options options() const { return relu ? hnorm::Options().relu() : hnorm::Options(); }
};

template <typename T>
std::vector<T> part(const std::vector<T> &all, int64_t begin, int64_t count) {
    return {all.begin() + begin * kC * kS, all.begin() + (begin + count) * kC * kS};
}

Trained alone(const Problem &p, int64_t samples) {
    Trained t = {p.x, p.x, p.x, {}, {}, {}, {}};
    hnorm::BatchNorm layer(kC, p.options());
    const std::vector<int64_t> shape = {samples, kC, kS};
    const hnorm::ConstTensor x(p.x.data(), shape), dy(p.dy.data(), shape), residual(p.residual.data(), shape);
    const hnorm::Tensor y(t.y.data(), shape), dx(t.dx.data(), shape), dresidual(t.dresidual.data(), shape);
    if (p.add) {
        layer.forward_add(x, residual, y);
        layer.backward_add(x, y, dy, dx, dresidual);
    } else {
        layer.forward(x, y);
        layer.backward(x, dy, dx);
    }
    t.gamma_grad.assign(layer.gamma_grad().begin(), layer.gamma_grad().end());
    t.beta_grad.assign(layer.beta_grad().begin(), layer.beta_grad().end());
    t.running_mean.assign(layer.running_mean().begin(), layer.running_mean().end());
    t.running_var.assign(layer.running_var().begin(), layer.running_var().end());
    return t;
}

std::vector<float> copied(const DeviceArray<float> &array, size_t size) {
    std::vector<float> values = array.copy_out();
    values.resize(size);
    return values;
}

// On the device, of samples [begin, begin + count).
Trained on_rank(const Problem &p, const hnorm_comm &comm, int64_t begin, int64_t count) {
    hnorm::use_opencl();
    const auto size = static_cast<size_t>(count * kC * kS);
    const std::vector<float> inputs[] = {part(p.x, begin, count), part(p.dy, begin, count),
                                         part(p.residual, begin, count)};
    std::vector<DeviceArray<float>> arrays;
    for (int i = 0; i < 6; i++) {
        arrays.emplace_back(kDevice, std::max<size_t>(size, 1));
        if (i < 3 && size) arrays.back().copy_in(inputs[i]);
    }
    const auto tensor = [&](int i) {
        return hnorm::ncl(arrays[static_cast<size_t>(i)].data(), {count, kC, kS}).on(kDevice);
    };
    hnorm::BatchNorm layer(kC, p.options());
    layer.to(kDevice);
    layer.set_comm(comm);
    if (p.add) {
        layer.forward_add(tensor(0), tensor(2), tensor(3));
        layer.backward_add(tensor(0), tensor(3), tensor(1), tensor(4), tensor(5));
    } else {
        layer.forward(tensor(0), tensor(3));
        layer.backward(tensor(0), tensor(1), tensor(4));
    }
    Trained t = {copied(arrays[3], size), copied(arrays[4], size), copied(arrays[5], size), {}, {}, {}, {}};
    layer.reset_comm();
    layer.to(Device::cpu);
    t.gamma_grad.assign(layer.gamma_grad().begin(), layer.gamma_grad().end());
    t.beta_grad.assign(layer.beta_grad().begin(), layer.beta_grad().end());
    t.running_mean.assign(layer.running_mean().begin(), layer.running_mean().end());
    t.running_var.assign(layer.running_var().begin(), layer.running_var().end());
    return t;
}

template <typename T>
double largest_difference(const std::vector<T> &a, const std::vector<T> &b) {
    REQUIRE(a.size() == b.size());
    double result = 0;
    for (size_t i = 0; i < a.size(); i++) {
        const double difference = std::fabs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
        if (!(difference <= result)) result = difference;
    }
    return result;
}

}  // namespace

TEST_CASE("layers on a device share statistics over ranks: unequal ones, empty ones, with and without a residual") {
    skip_without_driver();
    const int64_t samples = 12;
    for (const std::vector<int64_t> &split : {std::vector<int64_t>{6, 6}, {1, 11}, {5, 0, 7}, {12}}) {
        for (int kind = 0; kind < 4; kind++) {
            Problem p(samples);
            p.relu = kind % 2 == 1, p.add = kind >= 2;
            const Trained expected = alone(p, samples);
            const int count = static_cast<int>(split.size());
            Group group(count);
            std::vector<std::optional<Trained>> results(split.size());
            std::vector<std::string> messages(split.size());
            on_ranks(count, [&](int rank) {
                int64_t begin = 0;
                for (int r = 0; r < rank; r++) begin += split[static_cast<size_t>(r)];
                try {
                    results[static_cast<size_t>(rank)] =
                        on_rank(p, group.comm(rank), begin, split[static_cast<size_t>(rank)]);
                } catch (const std::exception &error) {
                    messages[static_cast<size_t>(rank)] = error.what();
                }
            });
            int64_t begin = 0;
            for (size_t r = 0; r < split.size(); r++) {
                INFO("kind " << kind << ", rank " << r << " of " << count << ": " << messages[r]);
                REQUIRE(results[r]);
                const Trained &t = *results[r];
                REQUIRE(t.running_mean == results[0]->running_mean);
                REQUIRE(t.running_var == results[0]->running_var);
                REQUIRE(same_bits(t.gamma_grad, results[0]->gamma_grad));
                REQUIRE(same_bits(t.beta_grad, results[0]->beta_grad));
                REQUIRE(largest_difference(t.y, part(expected.y, begin, split[r])) < 2e-6);
                REQUIRE(largest_difference(t.dx, part(expected.dx, begin, split[r])) < 2e-6);
                if (p.add) REQUIRE(same_bits(t.dresidual, part(expected.dresidual, begin, split[r])));
                REQUIRE(largest_difference(t.running_mean, expected.running_mean) < 1e-7);
                REQUIRE(largest_difference(t.running_var, expected.running_var) < 1e-7);
                REQUIRE(largest_difference(t.gamma_grad, expected.gamma_grad) < 1e-3);
                REQUIRE(largest_difference(t.beta_grad, expected.beta_grad) < 1e-3);
                begin += split[r];
            }
        }
    }
}

TEST_CASE("a rank on a device and one on the CPU end the call on both") {
    skip_without_driver();
    Problem p(4);
    Group group(2);
    std::vector<std::string> messages(2);
    on_ranks(2, [&](int rank) {
        try {
            if (rank == 0) {
                on_rank(p, group.comm(0), 0, 4);
            } else {
                hnorm::BatchNorm layer(kC);
                layer.set_comm(group.comm(1));
                std::vector<float> y(p.x.size());
                layer.forward(hnorm::ncl(p.x.data(), {4, kC, kS}), hnorm::ncl(y.data(), {4, kC, kS}));
            }
        } catch (const std::exception &error) {
            messages[static_cast<size_t>(rank)] = error.what();
        }
    });
    for (const std::string &message : messages) {
        INFO(message);
        REQUIRE(message.find(
                    "rank 1 calls a forward of the layer with tag 0, its call 0, but rank 0 a forward on a device") !=
                std::string::npos);
    }
}

TEST_CASE("layers on a device share statistics over ranks in both layouts and all types, and with leaky ReLU") {
    skip_without_driver();
    constexpr int64_t kSamples = 6, kHalf = kSamples / 2;
    for (bool last : {false, true}) {
        for (hnorm_type type : {HNORM_F32, HNORM_F16, HNORM_BF16}) {
            test::current_format() = {last, type};
            const std::vector<int64_t> shape = {kSamples, kC, kS}, half = {kHalf, kC, kS};
            Elements x(shape), dy(shape), y(shape), dx(shape);
            fill(x, 1), fill(dy, 2);
            hnorm::BatchNorm alone(kC, hnorm::Options().leaky_relu(0.25f));
            alone.forward(hnorm::ConstTensor(x.view()), hnorm::Tensor(y.view()));
            alone.backward(hnorm::ConstTensor(x.view()), hnorm::ConstTensor(dy.view()), hnorm::Tensor(dx.view()));
            Group group(2);
            std::vector<std::vector<char>> its_y(2), its_dx(2);
            std::vector<std::vector<double>> variances(2);
            std::vector<std::string> messages(2);
            on_ranks(2, [&](int rank) {
                try {
                    hnorm::use_opencl();
                    const size_t bytes = x.bytes().size() / 2, r = static_cast<size_t>(rank);
                    const auto part_of = [&](const Elements &elements) {
                        return std::vector<char>(elements.bytes().begin() + static_cast<long>(r * bytes),
                                                 elements.bytes().begin() + static_cast<long>((r + 1) * bytes));
                    };
                    std::vector<DeviceArray<char>> arrays;
                    for (int i = 0; i < 4; i++) arrays.emplace_back(kDevice, bytes);
                    arrays[0].copy_in(part_of(x)), arrays[1].copy_in(part_of(dy));
                    const auto tensor = [&](size_t i) {
                        return hnorm::Tensor(arrays[i].data(), static_cast<hnorm::Type>(type),
                                             last ? hnorm::Layout::channels_last : hnorm::Layout::channels_first, half)
                            .on(kDevice);
                    };
                    hnorm::BatchNorm layer(kC, hnorm::Options().leaky_relu(0.25f));
                    layer.to(kDevice);
                    layer.set_comm(group.comm(rank));
                    layer.forward(tensor(0), tensor(2));
                    layer.backward(tensor(0), tensor(1), tensor(3));
                    its_y[r] = arrays[2].copy_out(), its_dx[r] = arrays[3].copy_out();
                    layer.to(Device::cpu);
                    variances[r].assign(layer.running_var().begin(), layer.running_var().end());
                } catch (const std::exception &error) {
                    messages[static_cast<size_t>(rank)] = error.what();
                }
            });
            INFO(test::tensor_format().name() << ": " << messages[0] << messages[1]);
            REQUIRE((messages[0].empty() && messages[1].empty()));
            REQUIRE(variances[0] == variances[1]);
            Elements found_y(shape), found_dx(shape);
            const auto put = [](Elements &to, const std::vector<std::vector<char>> &halves) {
                char *const begin = to.data<char>();
                std::copy(halves[0].begin(), halves[0].end(), begin);
                std::copy(halves[1].begin(), halves[1].end(), begin + halves[0].size());
            };
            put(found_y, its_y), put(found_dx, its_dx);
            // Two units of elements below 4, and float's own digits.
            const double most = std::max(2e-6, std::ldexp(8.0, -test::tensor_format().digits()));
            REQUIRE(largest_difference(found_y.values(), y.values()) <= most);
            REQUIRE(largest_difference(found_dx.values(), dx.values()) <= most);
        }
    }
    test::current_format() = {};
}
