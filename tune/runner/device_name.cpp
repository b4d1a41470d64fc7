// Asked of the drivers themselves: hnorm has no use for names.
#include <cstdint>
#include <stdexcept>

#include "driver.h"
#include "json.h"
#include "on_device.h"

namespace hnorm::tune {
namespace {

template <typename Function>
Function function(const char *library, const char *name) {
    Function found = nullptr;
    void *const opened = gpu::open_library(library);
    if (opened == nullptr || !gpu::find(opened, name, &found))
        throw std::runtime_error(std::string(library) + " has no " + name);
    return found;
}

void check(const char *what, int error) {
    if (error != 0) throw std::runtime_error(std::string(what) + " failed: error " + std::to_string(error));
}

// Device 0, whose primary context hnorm_use_cuda takes where there is none.
DeviceName of_cuda() {
    using GetName = int (*)(char *, int, int);
    using GetVersion = int (*)(int *);
    char name[256] = "";
    int version = 0;
    check("cuDeviceGetName", function<GetName>("libcuda.so", "cuDeviceGetName")(name, sizeof name, 0));
    check("cuDriverGetVersion", function<GetVersion>("libcuda.so", "cuDriverGetVersion")(&version));
    return {plain(name) + ", CUDA " + std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10),
            false};
}

DeviceName of_opencl() {
    using GetInfo = int (*)(void *, uint32_t, size_t, void *, size_t *);
    constexpr uint32_t kType = 0x1000, kName = 0x102b, kDriver = 0x102d, kQueueDevice = 0x1091;
    constexpr uint64_t kCpu = 2;
    void *device = nullptr;
    check("clGetCommandQueueInfo",
          function<GetInfo>("libOpenCL.so", "clGetCommandQueueInfo")(gpu::driver_of(HNORM_OPENCL)->place().stream,
                                                                     kQueueDevice, sizeof device, &device, nullptr));
    const auto info = function<GetInfo>("libOpenCL.so", "clGetDeviceInfo");
    char name[256] = "", driver[256] = "";
    uint64_t type = 0;
    check("clGetDeviceInfo", info(device, kName, sizeof name - 1, name, nullptr));
    check("clGetDeviceInfo", info(device, kDriver, sizeof driver - 1, driver, nullptr));
    check("clGetDeviceInfo", info(device, kType, sizeof type, &type, nullptr));
    return {plain(name) + ", driver " + plain(driver), (type & kCpu) != 0};
}

}  // namespace

DeviceName device_name() { return device == HNORM_CUDA ? of_cuda() : of_opencl(); }

}  // namespace hnorm::tune
