// Conversion of 16-bit elements to floats and back, on the CPU and outside of kernels. The bits are
// those of generators/element.h.
#pragma once

#include <hnorm/hnorm.h>

#include <cstdint>
#include <cstring>

namespace hnorm::detail {

template <typename To, typename From>
To bits_as(From from) {
    static_assert(sizeof(To) == sizeof(From), "the same bits");
    To to;
    std::memcpy(&to, &from, sizeof to);
    return to;
}

inline float f16_to_float(uint16_t element) {
    const uint32_t magnitude = static_cast<uint32_t>(element & 0x7fff) << 13;  // its exponent has f16's bias still
    const uint32_t sign = static_cast<uint32_t>(element & 0x8000) << 16;
    constexpr uint32_t kBias = 112U << 23, kLeast = 113U << 23;  // kLeast: the bits of 2^-14, f16's least normal number
    const uint32_t normal = magnitude + (magnitude >= 0x1fU << 23 ? 2 * kBias : kBias);
    const float subnormal = bits_as<float>(magnitude + kLeast) - bits_as<float>(kLeast);
    return bits_as<float>(sign | (magnitude < 1U << 23 ? bits_as<uint32_t>(subnormal) : normal));
}

// Rounded to nearest even.
inline uint16_t f16_from_float(float value) {
    const uint32_t bits = bits_as<uint32_t>(value), magnitude = bits & 0x7fffffff;
    const uint32_t finite = magnitude < 143U << 23 ? magnitude : 143U << 23;  // 2^16 and all beyond overflow
    const uint32_t normal = (finite - (112U << 23) + 0xfff + ((finite >> 13) & 1)) >> 13;
    const uint32_t subnormal = bits_as<uint32_t>(bits_as<float>(finite) + 0.5F) - (126U << 23);
    const uint32_t number = magnitude < 113U << 23 ? subnormal : normal;
    return static_cast<uint16_t>((magnitude > 0x7f800000 ? 0x7e00 : number) | ((bits >> 16) & 0x8000));
}

inline float bf16_to_float(uint16_t element) { return bits_as<float>(static_cast<uint32_t>(element) << 16); }

inline uint16_t bf16_from_float(float value) {
    const uint32_t bits = bits_as<uint32_t>(value);
    const bool is_nan = (bits & 0x7fffffff) > 0x7f800000;
    return static_cast<uint16_t>(is_nan ? 0xffff : (bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

}  // namespace hnorm::detail
