// The element types of tensors. 16-bit elements enter and leave a kernel as their bits, in uint16.
// Both conversions are written here. They are exact, or round to nearest even, with the same bits
// on every target. Subnormal numbers are kept, an overflow becomes an infinity, and a NaN stays a
// NaN. The 16-bit types of Halide promise less where Halide emulates them, and the bf16
// instructions of AVX-512 flush subnormal numbers.
#pragma once

#include <Halide.h>

#include <map>
#include <string>

namespace hnorm {

using namespace Halide;

enum class Element { F32, F16, BF16 };

inline const std::map<std::string, Element> &element_names() {
    static const std::map<std::string, Element> names = {
        {"f32", Element::F32}, {"f16", Element::F16}, {"bf16", Element::BF16}};
    return names;
}

// What a buffer of such elements holds.
inline Type storage_type(Element element) { return element == Element::F32 ? Float(32) : UInt(16); }

namespace conversions {

// Whether Halide converts between f16 and f32 by instructions. These follow the rules above. On a
// GPU the target's features are those of the host. On ARM the instructions are part of NEON, but
// Halide uses them only with this feature.
inline bool converts_f16(const Target &target) {
    if (target.has_gpu_feature()) return false;
    return target.has_feature(target.arch == Target::ARM ? Target::ARMFp16 : Target::F16C);
}

// No step reads or makes a subnormal float, which some devices flush.
inline Expr f16_to_float(const Expr &raw) {
    const Expr bits = cast<uint32_t>(raw);
    const Expr magnitude = cast<int32_t>(bits & 0x7fff)
                           << 13;  // a float's bits, whose exponent still has f16's bias, 15 in place of 127
    const Expr infinite = magnitude >= 0x1f << 23;
    const Expr normal = magnitude + select(infinite, 2 * (112 << 23), 112 << 23);
    const int least = 113 << 23;  // the bits of 2^-14, the least normal f16
    const Expr subnormal =
        reinterpret<int32_t>(reinterpret<float>(magnitude + least) - reinterpret<float>(Expr(least)));
    const Expr result = select(magnitude < 1 << 23, subnormal, normal);
    return reinterpret<float>(cast<uint32_t>(result) | ((bits & 0x8000) << 16));  // unsigned: an int may not overflow
}

inline Expr f16_from_float(const Expr &value) {
    const Expr bits = reinterpret<int32_t>(value);
    const Expr magnitude = bits & 0x7fffffff;
    // Adds half of the last place that is kept, less one, and one more if that place is odd. The
    // carry does the rest, also for infinity.
    const Expr finite = min(magnitude, 143 << 23);  // 2^16 and all beyond overflow
    const Expr normal = (finite - (112 << 23) + 0xfff + ((finite >> 13) & 1)) >> 13;
    // The last place of floats in [0.5, 1) is that of f16's subnormal numbers, so adding 0.5
    // rounds.
    const Expr subnormal = reinterpret<int32_t>(reinterpret<float>(finite) + 0.5f) - (126 << 23);
    const Expr number = select(magnitude < 113 << 23, subnormal, normal);
    const Expr result = select(magnitude > 0x7f800000, 0x7e00, number);
    return cast<uint16_t>(result | ((bits >> 16) & 0x8000));
}

inline Expr bf16_to_float(const Expr &raw) { return reinterpret<float>(cast<uint32_t>(raw) << 16); }

inline Expr bf16_from_float(const Expr &value) {
    const Expr bits = reinterpret<uint32_t>(value);
    const Expr rounded = bits + 0x7fff + ((bits >> 16) & 1);  // of some NaNs the carry would make a number
    return cast<uint16_t>(select(is_nan(value), UInt(32).max(), rounded) >> 16);
}

}  // namespace conversions

// An element as it is stored, as a float.
inline Expr to_float(const Expr &raw, Element type, const Target &target) {
    if (type == Element::BF16) return conversions::bf16_to_float(raw);
    if (type == Element::F32) return raw;
    return conversions::converts_f16(target) ? cast<float>(reinterpret(Float(16), raw))
                                             : conversions::f16_to_float(raw);
}

// The float nearest to `value`, as it is stored.
inline Expr from_float(const Expr &value, Element type, const Target &target) {
    if (type == Element::BF16) return conversions::bf16_from_float(value);
    if (type == Element::F32) return value;
    return conversions::converts_f16(target) ? reinterpret(UInt(16), cast(Float(16), value))
                                             : conversions::f16_from_float(value);
}

}  // namespace hnorm
