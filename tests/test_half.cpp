// The tests' own 16-bit conversions against known answers.
#include "catch.hpp"
#include "half.h"
#include "tensor.h"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

using namespace test;

namespace {

float float_of(uint32_t pattern) {
    float value;
    std::memcpy(&value, &pattern, sizeof value);
    return value;
}

constexpr float kInfinite = std::numeric_limits<float>::infinity();

struct Known {
    float value;
    int bits;
};

void check_known(const Format &format, const Known &known) {
    INFO(format.name << " of " << known.value << ", expected bits " << known.bits);
    CHECK(from_float(known.value, format) == known.bits);
    CHECK(from_float(-known.value, format) == (known.bits | 0x8000));
}

}  // namespace

TEST_CASE("every 16-bit value becomes a float and the same value again") {
    for (const Format &format : {kF16, kBf16}) {
        int wrong = 0, nans = 0;
        for (int i = 0; i < 0x10000; i++) {
            const uint16_t value = static_cast<uint16_t>(i);
            const float f = to_float(value, format);
            nans += std::isnan(f);
            wrong += std::isnan(f) != is_nan(value, format) || !same(from_float(f, format), value, format);
            if (!std::isnan(f)) wrong += std::signbit(f) != (i >= 0x8000);
        }
        INFO(format.name);
        CHECK(wrong == 0);
        CHECK(nans == 2 * (hidden(format) - 1));
    }
}

TEST_CASE("16-bit values are the floats that they are known to be") {
    CHECK(bits(to_float(0x0000, kF16)) == bits(0.0f));
    CHECK(bits(to_float(0x8000, kF16)) == bits(-0.0f));
    CHECK(to_float(0x3c00, kF16) == 1);
    CHECK(to_float(0xc000, kF16) == -2);
    CHECK(to_float(0x3555, kF16) == 0x1.554p-2f);
    CHECK(to_float(0x7bff, kF16) == 65504);
    CHECK(to_float(0x0400, kF16) == 0x1p-14f);
    CHECK(to_float(0x03ff, kF16) == 0x1.ff8p-15f);
    CHECK(to_float(0x0001, kF16) == 0x1p-24f);
    CHECK(to_float(0x7c00, kF16) == kInfinite);
    CHECK(to_float(0xfc00, kF16) == -kInfinite);
    CHECK(std::isnan(to_float(0x7c01, kF16)));
    CHECK(std::isnan(to_float(0xffff, kF16)));
    // The upper half of the float's own bits.
    int wrong = 0;
    for (uint32_t i = 0; i < 0x10000; i++) {
        if (is_nan(static_cast<uint16_t>(i), kBf16)) continue;
        wrong += bits(to_float(static_cast<uint16_t>(i), kBf16)) != i << 16;
    }
    CHECK(wrong == 0);
}

TEST_CASE("floats round to the nearest f16, ties to even") {
    const Known list[] = {
        {0, 0x0000},
        {1, 0x3c00},
        {0x1.002p0f, 0x3c00},       // tie, down
        {0x1.002002p0f, 0x3c01},    // a bit more
        {0x1.006p0f, 0x3c02},       // tie, up
        {0x1.005ffep0f, 0x3c01},    // a bit less
        {0x1.ffep0f, 0x4000},       // tie, up to the next exponent
        {65504, 0x7bff},            // the greatest
        {65519.996f, 0x7bff},       //
        {65520, 0x7c00},            // overflow
        {65536, 0x7c00},            //
        {3.4e38f, 0x7c00},          //
        {kInfinite, 0x7c00},        //
        {0x1p-14f, 0x0400},         // the least normal number
        {0x1.ffcp-15f, 0x0400},     // tie between the greatest subnormal number and that
        {0x1.ffbffep-15f, 0x03ff},  //
        {0x1p-24f, 0x0001},         // the least number
        {0x1.8p-24f, 0x0002},       // tie, up
        {0x1.4p-23f, 0x0002},       // tie, down
        {0x1.000002p-25f, 0x0001},  // more than half of the least
        {0x1p-25f, 0x0000},         // tie, down
        {0x1p-149f, 0x0000},        //
    };
    for (const Known &known : list) check_known(kF16, known);
}

TEST_CASE("floats round to the nearest bf16, ties to even") {
    const Known list[] = {
        {0, 0x0000},
        {1, 0x3f80},
        {0x1.01p0f, 0x3f80},         // tie, down
        {0x1.010002p0f, 0x3f81},     //
        {0x1.03p0f, 0x3f82},         // tie, up
        {0x1.02fffep0f, 0x3f81},     //
        {0x1.ffp0f, 0x4000},         // tie, up to the next exponent
        {0x1.fep127f, 0x7f7f},       // the greatest
        {0x1.fefffep127f, 0x7f7f},   //
        {0x1.ffp127f, 0x7f80},       // overflow
        {0x1.fffffep127f, 0x7f80},   //
        {kInfinite, 0x7f80},         //
        {0x1p-126f, 0x0080},         // the least normal number
        {0x1.fep-127f, 0x0080},      // tie between the greatest subnormal number and that
        {0x1.fdfff8p-127f, 0x007f},  //
        {0x1p-133f, 0x0001},         // the least number
        {0x1.8p-133f, 0x0002},       // tie, up
        {0x1p-134f, 0x0000},         // tie, down
        {0x1.0002p-134f, 0x0001},    //
        {0x1p-149f, 0x0000},         //
    };
    for (const Known &known : list) check_known(kBf16, known);
}

TEST_CASE("a NaN of any payload stays a NaN in 16 bits") {
    for (const Format &format : {kF16, kBf16}) {
        INFO(format.name);
        for (uint32_t payload :
             {0x1u, 0x7fffu, 0x8000u, 0xffffu, 0x10000u, 0x3fffffu, 0x400000u, 0x7fffffu, 0x7f8000u}) {
            CHECK(is_nan(from_float(float_of(0x7f800000 | payload), format), format));
            CHECK(is_nan(from_float(float_of(0xff800000 | payload), format), format));
        }
    }
}
