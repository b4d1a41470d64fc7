// Comparisons of bits: an empty string, or the first difference in words. Any NaN equals any NaN,
// but the sentinel, which marks what was never written, equals nothing.
#pragma once

#include "tensor.h"

#include <cmath>
#include <cstdint>
#include <iomanip>
#include <sstream>
#include <string>
#include <vector>

namespace test {

inline bool same_bits(float actual, float expected) {
    if (bits(actual) == kSentinelBits) return false;
    return bits(actual) == bits(expected) || (std::isnan(actual) && std::isnan(expected));
}
inline bool same_bits(double actual, double expected) {
    return bits(actual) == bits(expected) || (std::isnan(actual) && std::isnan(expected));
}

// Of what lies in the tensor's memory. expected: dense, as elements().
inline std::string difference(const Tensor &actual, const std::vector<float> &expected) {
    actual.load();
    size_t i = 0;
    for (int64_t n = 0; n < actual.samples(); n++) {
        for (int64_t c = 0; c < actual.channels(); c++) {
            const float *plane = actual.plane(n, c);
            for (int64_t s = 0; s < actual.positions(); s++, i++) {
                if (same_bits(plane[s], expected[i])) continue;
                std::ostringstream out;
                out << "at (n " << n << ", c " << c << ", position " << s << "): " << std::setprecision(9) << plane[s];
                if (bits(plane[s]) == kSentinelBits) out << " (never written)";
                out << ", expected " << expected[i];
                return out.str();
            }
        }
    }
    return "";
}

template <typename T>
std::string difference(const char *what, const std::vector<T> &actual, const std::vector<T> &expected) {
    if (actual.size() != expected.size()) return std::string(what) + ": wrong number";
    for (size_t g = 0; g < actual.size(); g++) {
        if (same_bits(actual[g], expected[g])) continue;
        std::ostringstream out;
        out << what << " number " << g << ": " << std::setprecision(17) << actual[g] << ", expected " << expected[g];
        return out.str();
    }
    return "";
}

}  // namespace test
