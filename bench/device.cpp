// hnorm's calls on a device, and the device's own copy, as C functions for a program in another language that times them in
// turn with others' (bench/compare/device.py). One case at a time; not thread-safe.
#include <hnorm/gpu.hpp>

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "../tune/runner/calls.h"
#include "../tune/runner/exports.h"

namespace {

using namespace hnorm;
using tune::Calls;
using tune::Case;
using tune::guarded;

Device device;
std::unique_ptr<Calls> calls;
std::map<void *, DeviceArray<char>> arrays;  // by the CPU's memory
std::map<std::string, std::function<void()>> contenders;

void *on_device(void *memory) { return arrays.at(memory).data(); }
void *on_device(const char *name) { return on_device(calls->memory(name)); }

// The device's copy of as many bytes as the case must read and write at least: half of them are read.
std::function<void()> floor_of(const Case &c, int64_t bytes_moved) {
    const int64_t tensor = c.elements() * (c.type == HNORM_F32 ? 4 : 2);
    void *const from[] = {on_device("x"), on_device("dy"), on_device("residual")};
    void *const to[] = {on_device("y"), on_device("dresidual"), on_device("y")};
    return [=] {
        int64_t left = bytes_moved / 2;
        for (int i = 0; left > 0; i++) {
            const int64_t bytes = std::min(left, tensor);
            header::check(
                hnorm_device_copy(static_cast<hnorm_device>(device), to[i], from[i], static_cast<size_t>(bytes)));
            left -= bytes;
        }
    };
}

}  // namespace

// "cuda" or "opencl". 0, or 1 and a reason in hnorm_compare_error().
HNORM_EXPORT int hnorm_compare_use(const char *name) {
    return guarded([&] {
        device = std::string(name) == "cuda" ? Device::cuda : Device::opencl;
        device == Device::cuda ? use_cuda() : use_opencl();
    });
}

// Opens a case, whose arrays are copied to the device. bytes_moved: what its floor is to read and write.
HNORM_EXPORT int hnorm_compare_open(const char *name, int64_t bytes_moved) {
    return guarded([&] {
        const Case c = tune::parse_case(name);
        contenders.clear();
        arrays.clear();
        calls = std::make_unique<Calls>(std::vector<Case>{c});
        calls->prepare(c, tune::Data::kPlain);
        for (const Calls::Array &array : calls->arrays()) {
            const char *const first = static_cast<const char *>(array.memory);
            arrays.emplace(array.memory, DeviceArray<char>(device, std::vector<char>(first, first + array.bytes)));
        }
        calls->place(static_cast<hnorm_device>(device), [](void *memory) { return on_device(memory); });
        contenders["hnorm"] = calls->call(c);
        contenders["floor"] = floor_of(c, bytes_moved);
    });
}

// The device's pointer to the array of that name in Calls.
HNORM_EXPORT void *hnorm_compare_memory(const char *name) { return calls ? on_device(name) : nullptr; }

// Seconds of a call of "hnorm" or the "floor", over so many, the device's work included; below 0: it failed.
HNORM_EXPORT double hnorm_compare_time(const char *name, int times) {
    double seconds = -1;
    guarded([&] {
        const auto &contender = contenders.at(name);
        synchronize(device);
        const auto start = std::chrono::steady_clock::now();
        for (int i = 0; i < times; i++) contender();
        synchronize(device);
        seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / times;
    });
    return seconds;
}
