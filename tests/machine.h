// Kernel sets and thread counts to run the tests with.
#pragma once

#include "catch.hpp"
#include "format.h"

#include <hnorm/hnorm.h>

#include <string>
#include <vector>

namespace test {

// Whether the program's calls run on a device (tests/on_device): there neither threads nor the
// CPU's targets matter.
extern "C" int hnorm_tests_on_device(void) __attribute__((weak));
inline bool on_device() { return hnorm_tests_on_device != nullptr; }

// One thread, and of several each case another number in turn. More threads than cores wait for
// each other most of the time.
inline std::vector<int> thread_counts(uint64_t seed) {
    constexpr int kSeveral[] = {2, 3, 7};
    return on_device() ? std::vector<int>{1} : std::vector<int>{1, kSeveral[seed % 3]};
}

// Uses one target and number of threads while it lives; then the defaults again.
class Machine {
public:
    explicit Machine(const std::string &target, int threads = 2) : target_(target), threads_(threads) {
        const hnorm_status status = hnorm_set_target(target.c_str());
        INFO("hnorm_set_target(" << target << "): " << hnorm_last_error());
        REQUIRE(status == HNORM_OK);
        REQUIRE(std::string(hnorm_target()) == target);
        REQUIRE(hnorm_set_num_threads(threads) == HNORM_OK);
    }
    ~Machine() {
        hnorm_set_target(nullptr);
        hnorm_set_num_threads(0);
    }
    Machine(const Machine &) = delete;
    Machine &operator=(const Machine &) = delete;

    std::string describe() const { return "target " + target_ + ", threads " + std::to_string(threads_); }

private:
    std::string target_;
    int threads_;
};

// The targets that this CPU runs. The others are named once in each process, with the reason, and
// have a test of their own which ctest lists as skipped (test_targets.cpp).
inline const std::vector<std::string> &usable_targets() {
    static const std::vector<std::string> targets = [] {
        std::vector<std::string> result;
        for (int i = 0; i < hnorm_target_count(); i++) {
            const char *reason = hnorm_target_unusable(i);
            if (reason)
                WARN("SKIPPED: " << hnorm_target_name(i) << ": " << reason);
            else
                result.push_back(hnorm_target_name(i));
        }
        return result;
    }();
    REQUIRE(!targets.empty());
    static const std::vector<std::string> first(targets.begin(), targets.begin() + 1);
    return on_device() ? first : targets;
}

// For properties of results. Those of 16-bit tensors are tested on the target in use alone: their
// bits are the same on every other (test_bits.cpp, test_backward_bits.cpp), and converting the
// tests' values takes long.
inline std::vector<std::string> targets_for_properties() {
    if (tensor_format().type == HNORM_F32) return usable_targets();
    return {hnorm_target()};
}

}  // namespace test
