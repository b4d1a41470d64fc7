// hnorm's calls on a device, and the device's own copy, as C functions for a program in another language that times them in
// turn with others' (bench/compare/device.py). One case at a time; not thread-safe.
#include <hnorm/gpu.hpp>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "../tune/runner/device_arrays.h"
#include "../tune/runner/exports.h"

namespace {

using namespace hnorm;
using tune::Calls;
using tune::Case;
using tune::guarded;

Device device;
std::unique_ptr<Calls> calls;
std::unique_ptr<tune::DeviceArrays> arrays;
std::map<std::string, std::function<void()>> contenders;

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
        arrays.reset();
        calls = std::make_unique<Calls>(std::vector<Case>{c});
        calls->prepare(c, tune::Data::kPlain);
        arrays = std::make_unique<tune::DeviceArrays>(*calls, device);
        arrays->send();
        contenders["hnorm"] = calls->call(c);
        contenders["floor"] = arrays->copies(c, bytes_moved);
    });
}

// The device's pointer to the array of that name in Calls.
HNORM_EXPORT void *hnorm_compare_memory(const char *name) { return calls ? arrays->of(calls->memory(name)) : nullptr; }

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
