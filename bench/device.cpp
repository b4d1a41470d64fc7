// The library's own device kernels, for the engine.
#include <cstdlib>
#include <string>

#include "engine/on_device.h"
#include "engine/place.h"

namespace hnorm::bench {

Device device_in_use() {
    // ./dev bench --device
    static const Device device = [] {
        const char *name = std::getenv("HNORM_BENCH_DEVICE");
        const bool cuda = name && std::string(name) == "cuda";
        cuda ? use_cuda() : use_opencl();
        return cuda ? Device::cuda : Device::opencl;
    }();
    return device;
}

void use(const std::string &) {}
std::vector<std::string> table_rows() { return {device_in_use() == Device::cuda ? "cuda" : "opencl"}; }
std::string machine() {
    const std::string name = device_in_use() == Device::cuda ? "cuda" : "opencl";
    return "{\"target\": \"" + name + "\", \"targets\": [\"" + name + "\"]}";
}

}  // namespace hnorm::bench
