// Where an OpenCL driver ends the process that asks for it, as PoCL does in a container without
// /sys, tests are skipped.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <string>

namespace on_device {

// Asks in a process of its own, which PoCL's LLVM ends whatever handlers there are; ctest takes the
// line for a reason to skip.
template <typename Ask>
void skip_unless_driver_lives(const Ask &ask) {
    const pid_t child = fork();
    if (child == 0) {
        ask();
        _exit(0);
    }
    int status = 0;
    if (child > 0 && waitpid(child, &status, 0) == child && WIFSIGNALED(status)) {
        std::puts("skipped: no driver: it ends the process that asks for it");
        std::fflush(stdout);
        std::_Exit(0);
    }
}

// Once in this program, and once for all tests that one process, as ctest, starts. Not where
// HNORM_TEST_DEVICE_NEEDED is set.
template <typename Ask>
void skip_where_driver_aborts(const Ask &ask) {
    static std::once_flag asked;
    std::call_once(asked, [&] {
        const auto known =
            std::filesystem::temp_directory_path() / ("hnorm-driver-asked-by-" + std::to_string(getppid()));
        if (std::getenv("HNORM_TEST_DEVICE_NEEDED") || std::filesystem::exists(known)) return;
        skip_unless_driver_lives(ask);
        const std::ofstream made(known);
    });
}

}  // namespace on_device
