// A call that computes the same with any wisdom, and wisdom for it: for tests of wisdom in a bad
// world.
#pragma once

#include "api.h"
#include "wisdom_files.h"

#include <string>

namespace test {

inline const std::string kAll = "*/*/*/*/* threads=1 block_elements=4096\n";

// A small call, which needs no memory.
struct SmallCall {
    float x[24], y[24];
    double mean[3], variance[3];

    SmallCall() {
        for (int i = 0; i < 24; i++) x[i] = static_cast<float>(i * i % 7);
    }
    hnorm_status run() {
        const int64_t shape[] = {2, 3, 4};
        const hnorm_tensor in = hnorm_channels_first(x, 3, shape), out = hnorm_channels_first(y, 3, shape);
        return hnorm_forward(&in, HNORM_BATCH, nullptr, 1e-5, nullptr, &out, mean, variance);
    }
};

// The bits of its results, or why it failed.
inline std::string small_call() {
    SmallCall call;
    if (call.run() != HNORM_OK) return hnorm_last_error();
    return std::string(reinterpret_cast<char *>(call.y), sizeof call.y) +
           std::string(reinterpret_cast<char *>(call.mean), sizeof call.mean);
}
// The same without wisdom.
inline const std::string &expected_of_small_call() {
    static const std::string expected = in_child({}, small_call);
    REQUIRE(expected.size() == sizeof SmallCall::y + sizeof SmallCall::mean);
    return expected;
}

// Files for which there are 1 and 20 notes.
inline std::string sections_of_others() {
    std::string text;
    for (int i = 0; i < 30; i++) text += "[machine]\ncpu = Z80-" + std::to_string(i) + "\n" + kAll;
    return text;
}

}  // namespace test
