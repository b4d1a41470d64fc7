// What the tests' tensors are made of: the layout and the type of elements, one pair for a whole
// run of a program, so that every test runs with each. HNORM_TEST_FORMAT names it:
// "channels_last/bf16"; without it, channels_first/f32.
#pragma once

#include "half.h"

#include <hnorm/hnorm.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

namespace test {

struct TensorFormat {
    bool channels_last = false;
    hnorm_type type = HNORM_F32;

    size_t element_size() const { return type == HNORM_F32 ? 4 : 2; }
    // Significant bits of an element, and the exponent of its least subnormal.
    int digits() const { return type == HNORM_F32 ? 24 : type == HNORM_F16 ? kF16.digits : kBf16.digits; }
    int least_exponent() const { return type == HNORM_F32 ? -149 : type == HNORM_F16 ? -24 : -133; }
    float greatest() const { return type == HNORM_F16 ? 65504.0f : type == HNORM_BF16 ? 0x1.fep127f : 0x1.fffffep127f; }
    std::string type_name() const { return type == HNORM_F32 ? "f32" : type == HNORM_F16 ? "f16" : "bf16"; }
    std::string name() const { return (channels_last ? "channels_last/" : "channels_first/") + type_name(); }
};

inline TensorFormat named_format(const std::string &name) {
    for (bool last : {false, true})
        for (hnorm_type type : {HNORM_F32, HNORM_F16, HNORM_BF16})
            if (TensorFormat{last, type}.name() == name) return {last, type};
    throw std::runtime_error("HNORM_TEST_FORMAT is '" + name +
                             "': it must be a layout and a type, as channels_last/bf16");
}

// Of the tensors that are made from now on; a program that tests several formats sets it.
inline TensorFormat &current_format() {
    static TensorFormat format = [] {
        const char *name = std::getenv("HNORM_TEST_FORMAT");
        return name && *name ? named_format(name) : TensorFormat();
    }();
    return format;
}
inline const TensorFormat &tensor_format() { return current_format(); }

inline uint32_t bits(float value) {
    uint32_t result;
    std::memcpy(&result, &value, sizeof result);
    return result;
}

inline uint64_t bits(double value) {
    uint64_t result;
    std::memcpy(&result, &value, sizeof result);
    return result;
}

// A quiet NaN that no arithmetic makes: reading it shows too. Of 16 bits where elements are.
constexpr uint32_t kSentinelBits = 0x7fc5a5a5;
constexpr uint16_t kSentinelHalf = 0x7fc5;

inline float sentinel() {
    float value;
    std::memcpy(&value, &kSentinelBits, sizeof value);
    return value;
}

// half.h's to_float of every value of the type.
inline const std::vector<float> &decoded(hnorm_type type) {
    const auto all = [](const Format &format) {
        std::vector<float> result(65536);
        for (int i = 0; i < 65536; i++) result[static_cast<size_t>(i)] = to_float(static_cast<uint16_t>(i), format);
        result[kSentinelHalf] = sentinel();
        return result;
    };
    static const std::vector<float> f16 = all(kF16), bf16 = all(kBf16);
    return type == HNORM_F16 ? f16 : bf16;
}

// An element as it lies in memory as a float, and for a value that an element can have, the other
// way: the tensor checks that it is one.
inline float decode(const void *element, const TensorFormat &format) {
    if (format.type == HNORM_F32) {
        float value;
        std::memcpy(&value, element, sizeof value);
        return value;
    }
    uint16_t half;
    std::memcpy(&half, element, sizeof half);
    return decoded(format.type)[half];
}

inline uint16_t encoded(float value, hnorm_type type) {
    const uint32_t all = bits(value);
    if (all == kSentinelBits) return kSentinelHalf;
    if (type == HNORM_BF16 || (all & 0x7f800000) == 0x7f800000) {  // infinities and NaN
        const uint32_t low = (all & 0x7fffff) != 0 ? 0x40 : 0;
        return type == HNORM_BF16 ? static_cast<uint16_t>(all >> 16 | (value != value ? low : 0))
                                  : static_cast<uint16_t>((all >> 16 & 0x8000) | 0x7c00 | low << 3);
    }
    const int exponent = static_cast<int>(all >> 23 & 255) - 112;
    const uint32_t magnitude = exponent > 0 ? static_cast<uint32_t>(exponent) << 10 | (all & 0x7fffff) >> 13
                                            : static_cast<uint32_t>(std::fabs(value) * 0x1p24f);
    return static_cast<uint16_t>((all >> 16 & 0x8000) | magnitude);
}

inline void encode(float value, const TensorFormat &format, void *element) {
    if (format.type == HNORM_F32) {
        std::memcpy(element, &value, sizeof value);
        return;
    }
    const uint16_t half = encoded(value, format.type);
    std::memcpy(element, &half, sizeof half);
}

// The nearest value that an element can have.
inline float rounded(float value, const TensorFormat &format = tensor_format()) {
    if (format.type == HNORM_F32 || bits(value) == kSentinelBits) return value;
    return decoded(format.type)[from_float(value, format.type == HNORM_F16 ? kF16 : kBf16)];
}

// The distance of elements near the value, of 16 bits; 0 for f32, whose rounding is among the
// errors of the arithmetic.
inline long double last_place(long double value) {
    const TensorFormat &format = tensor_format();
    if (format.type == HNORM_F32) return 0;
    const int exponent = value == 0 ? format.least_exponent() : std::ilogb(value) + 1 - format.digits();
    return std::ldexp(1.0L, std::max(exponent, format.least_exponent()));
}

}  // namespace test
