// Where an OpenCL driver ends the process that asks for it, as PoCL does in a container without /sys, tests are skipped.
#pragma once

#include <csignal>
#include <cstdio>
#include <cstdlib>

namespace on_device {

// While it lives an abort() is no driver: ctest takes the line for a reason to skip. Not where HNORM_TEST_DEVICE_NEEDED is set.
class DriverThatAborts {
public:
    DriverThatAborts() {
        struct sigaction skipping = {};
        skipping.sa_handler = skip;
        needed_ = std::getenv("HNORM_TEST_DEVICE_NEEDED") || sigaction(SIGABRT, &skipping, &before_) != 0;
    }
    ~DriverThatAborts() {
        if (!needed_) sigaction(SIGABRT, &before_, nullptr);
    }
    DriverThatAborts(const DriverThatAborts &) = delete;
    DriverThatAborts &operator=(const DriverThatAborts &) = delete;

private:
    static void skip(int) {
        std::puts("skipped: no driver: it ends the process that asks for it");
        std::fflush(stdout);
        std::_Exit(0);
    }
    struct sigaction before_ = {};
    bool needed_;
};

}  // namespace on_device
