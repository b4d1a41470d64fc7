// The 16-bit element types, by the definition of IEEE 754's binary formats and library arithmetic:
// slow, and owing nothing to generators/element.h.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace test {

struct Format {
    const char *name;
    int digits;    // of a significand, the hidden one included
    int least;     // the least positive number is 2^least
    int overflow;  // numbers are below 2^overflow
};

constexpr Format kF16 = {"f16", 11, -24, 16};
constexpr Format kBf16 = {"bf16", 8, -133, 128};

constexpr int hidden(const Format &format) { return 1 << (format.digits - 1); }
constexpr int infinity(const Format &format) { return 0x8000 - hidden(format); }
constexpr bool is_nan(uint16_t value, const Format &format) { return (value & 0x7fff) > infinity(format); }

// Any NaN equals any NaN.
constexpr bool same(uint16_t a, uint16_t b, const Format &format) {
    return is_nan(a, format) ? is_nan(b, format) : a == b;
}

inline float to_float(uint16_t value, const Format &format) {
    const int magnitude = value & 0x7fff, exponent = magnitude / hidden(format), fraction = magnitude % hidden(format);
    double result = exponent == 0 ? std::ldexp(fraction, format.least)
                                  : std::ldexp(hidden(format) + fraction, format.least + exponent - 1);
    if (magnitude == infinity(format)) result = std::numeric_limits<double>::infinity();
    if (is_nan(value, format)) result = std::numeric_limits<double>::quiet_NaN();
    return static_cast<float>(value & 0x8000 ? -result : result);
}

// The nearest, the even one of two.
inline uint16_t from_float(float value, const Format &format) {
    if (std::isnan(value)) return static_cast<uint16_t>(infinity(format) + hidden(format) / 2);
    const double size = std::fabs(static_cast<double>(value));
    int magnitude = infinity(format);
    if (std::isfinite(value)) {
        int exponent = format.least;
        if (size > 0) std::frexp(size, &exponent);  // size < 2^exponent
        const int unit = std::max(exponent - format.digits, format.least);
        const double units = std::nearbyint(std::ldexp(size, -unit));
        if (std::ldexp(units, unit) < std::ldexp(1.0, format.overflow)) {
            magnitude = static_cast<int>(units) + (unit - format.least) * hidden(format);
        }
    }
    return static_cast<uint16_t>(magnitude | (std::signbit(value) ? 0x8000 : 0));
}

}  // namespace test
