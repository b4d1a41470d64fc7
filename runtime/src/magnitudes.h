// Magnitudes as the bits of floats, which are ordered as the floats are; and scales (docs/order.md,
// "Scales").
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace hnorm::detail {

inline int32_t magnitude(float value) {
    int32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits & 0x7fffffff;
}
inline float as_float(int32_t bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}
// && and || without their branches, which sparse data make slow.
inline bool both(bool a, bool b) { return (a & b) != 0; }
inline bool either(bool a, bool b) { return (a | b) != 0; }

inline bool is_between(int32_t bits, float least, float most) {
    return both(magnitude(least) <= bits, bits <= magnitude(most));
}
inline bool is_ordinary(int32_t greatest) { return is_between(greatest, 0x1p-40F, 0x1p40F); }
inline bool is_finite(int32_t magnitude) { return magnitude < 0x7f800000; }
inline bool is_finite(double value) { return value - value == 0; }  // std::isfinite makes no vectors
inline int exponent(int32_t magnitude) { return (magnitude >> 23) - 127; }
// 2^-k
inline float power_of_two(int k) { return as_float((127 - k) << 23); }
inline float scale_of_exponent(int e) { return power_of_two((std::clamp(e, -100, 74) + 8) & ~15); }
constexpr float kLeastScale = 0x1p-80F;
// Of a magnitude that was multiplied by the scale `by`.
inline float scale_of(int32_t magnitude, float by = 1) {
    return magnitude == 0 ? 1 : scale_of_exponent(exponent(magnitude) - exponent(hnorm::detail::magnitude(by)));
}

}  // namespace hnorm::detail
