// What on_device.cpp asks of the program that it is part of.
#pragma once

#include <hnorm/gpu.hpp>

namespace hnorm::bench {

// The device that the calls run on; the first call opens it.
Device device_in_use();

}  // namespace hnorm::bench
