#include "on_device.h"

#include <algorithm>
#include <map>
#include <memory>

#include "place.h"

namespace hnorm::bench {
namespace {

using header::require_ok;

hnorm_device device() { return static_cast<hnorm_device>(device_in_use()); }

// The arrays of the calls on the device, by their memory on the CPU.
struct DeviceArrays {
    Calls &calls;
    std::map<const void *, DeviceArray<char>> arrays = {};

    void *of(const void *memory) const { return arrays.at(memory).data(); }
};
DeviceArrays *placed = nullptr;  // the last for good: when the process ends, the driver may be gone before

}  // namespace

std::vector<int> thread_counts() { return {1}; }
double least_timing() { return 2e-3; }

void place(Calls &calls) {
    delete placed;
    placed = new DeviceArrays{calls};
    for (const Calls::Array &array : calls.arrays())
        placed->arrays.emplace(array.memory, DeviceArray<char>(device_in_use(), static_cast<size_t>(array.bytes)));
    calls.place(device(), [](void *memory) { return placed->of(memory); });
}

void send() {
    for (const Calls::Array &array : placed->calls.arrays())
        require_ok(
            hnorm_device_copy_in(device(), placed->of(array.memory), array.memory, static_cast<size_t>(array.bytes)));
}

void fetch() {
    for (const Calls::Array &array : placed->calls.arrays())
        require_ok(
            hnorm_device_copy_out(device(), array.memory, placed->of(array.memory), static_cast<size_t>(array.bytes)));
}

void fill(Calls &calls, const std::string &name, const void *values, int64_t bytes) {
    require_ok(hnorm_device_copy_in(device(), calls.address(name), values, static_cast<size_t>(bytes)));
}

void wait() { synchronize(device_in_use()); }

// Copies of as many bytes as the case must read and write: half of them are read.
std::function<void()> floor_of(Calls &calls, const Case &c) {
    const auto there = [&](const char *name) { return calls.address(name); };
    const int64_t tensor = c.tensor_bytes(), copied = c.bytes_moved() / 2;
    void *const from[] = {there("x"), there("dy"), there("residual")};
    void *const to[] = {there("y"), there("dresidual"), there("y")};
    return [=, device = device()] {
        int64_t left = copied;
        for (int i = 0; left > 0; i++) {
            const int64_t bytes = std::min(left, tensor);
            require_ok(hnorm_device_copy(device, to[i], from[i], static_cast<size_t>(bytes)));
            left -= bytes;
        }
    };
}

}  // namespace hnorm::bench
