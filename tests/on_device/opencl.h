// OpenCL for tests of what gpu.h promises: the queue, and tensors on its device.
#pragma once

#include "../api.h"
#include "driver_that_aborts.h"

#include <hnorm/gpu.hpp>
#include <hnorm/hnorm.hpp>

#include <cstdio>
#include <cstdlib>
#include <vector>

namespace opencl {

using hnorm::Device;
using hnorm::DeviceArray;

constexpr Device kDevice = Device::opencl;

// hnorm's own queue; the program ends where there is no OpenCL, as skipped.
inline void use() {
    on_device::skip_where_driver_aborts([] { hnorm_use_opencl(nullptr, nullptr); });
    const hnorm_status status = hnorm_use_opencl(nullptr, nullptr);
    if (status == HNORM_UNSUPPORTED) {
        std::printf("skipped: no driver: %s\n", hnorm_last_error());  // ctest takes this line for a reason to skip
        std::exit(0);
    }
    INFO(hnorm_last_error());
    REQUIRE(status == HNORM_OK);
}

struct Data {
    static constexpr int64_t kN = 4, kC = 3, kS = 700;
    std::vector<float> values;
    DeviceArray<float> x, y, dx;
    explicit Data(uint32_t seed = 1)
        : values(kN * kC * kS), x(kDevice, values.size()), y(kDevice, values.size()), dx(kDevice, values.size()) {
        api::fill(values, seed);
        x.copy_in(values);
    }
    static hnorm::Tensor tensor(const DeviceArray<float> &array) {
        return hnorm::ncl(array.data(), {kN, kC, kS}).on(kDevice);
    }
};

}  // namespace opencl
