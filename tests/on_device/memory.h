// The CPU's arrays of a test and their copies on the device: a test's arguments are copied there,
// and what a call changed is copied back. One array, known by its address, has one place on the
// device, as long as calls use it.
#pragma once

#include <hnorm/hnorm.h>

#include <cstddef>
#include <map>
#include <vector>

namespace on_device {

// What HNORM_TEST_DEVICE names; "opencl" if nothing.
hnorm_device device();
// Makes it the calling thread's; ends the program where there is none, as skipped unless
// HNORM_TEST_DEVICE_NEEDED is set.
void use();

// The arrays of one call.
class Arrays {
public:
    // The device's pointer for `bytes` bytes at `memory`, which may be null; of one address the
    // longest array counts.
    void *place(const void *memory, size_t bytes);
    // A pointer that is the device's, and nothing: for an argument that must be refused before
    // anybody looks at it.
    void *nowhere();
    // Copies to the CPU what has changed on the device. Ends the program where memory beyond an
    // array has.
    void copy_back();

private:
    struct Placed {
        size_t bytes;
        void *on_device;
        std::vector<char> before;  // with a guard behind
    };
    std::map<char *, Placed> placed_;
};

}  // namespace on_device
