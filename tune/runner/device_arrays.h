// Calls' arrays on a device, and the device's own copy.
#pragma once

#include <hnorm/gpu.hpp>

#include <functional>
#include <map>

#include "calls.h"

namespace hnorm::tune {

class DeviceArrays {
public:
    // The calls take these arrays from now on.
    DeviceArrays(Calls &calls, Device device);

    // All arrays: from the CPU's memory, and to it.
    void send();
    void fetch();

    // The device's pointer to what lies there of the CPU's memory.
    void *of(const void *memory) const { return arrays_.at(memory).data(); }

    // Copies of as many bytes as the case must read and write at least: half of them are read.
    std::function<void()> copies(const Case &c, int64_t bytes_moved) const;

private:
    Calls &calls_;
    Device device_;
    std::map<const void *, DeviceArray<char>> arrays_;
};

}  // namespace hnorm::tune
