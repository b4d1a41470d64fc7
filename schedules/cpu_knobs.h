// The knobs of the CPU templates, and the refusal of values that schedules/space/cpu.json, which lists them, does not allow.
// A kernel reads those that concern it.
#pragma once

#include <Halide.h>

#include <algorithm>
#include <initializer_list>
#include <stdexcept>
#include <string>

#include "cpu_space.h"

namespace hnorm {

constexpr int kOfTarget = 0;  // the default of knobs that follow the target's vector

struct CpuKnobs {
#define HNORM_MEMBER(name, ...) int name;
    HNORM_KNOBS(HNORM_MEMBER)
#undef HNORM_MEMBER
};

[[noreturn]] inline void refuse_knob(const std::string &name, int value, const std::string &allowed) {
    throw std::invalid_argument("knob " + name + " is " + std::to_string(value) + ": it must be " + allowed);
}

inline void check_knob(const char *name, int value, std::initializer_list<int> values) {
    if (std::find(values.begin(), values.end(), value) != values.end()) return;
    std::string allowed;
    for (int v : values) allowed += (allowed.empty() ? "" : ", ") + std::to_string(v);
    refuse_knob(name, value, "one of " + allowed);
}

// The knobs, those left to the target with its vector. Throws where a value is not legal.
inline CpuKnobs legal_knobs(CpuKnobs knobs, const Halide::Target &target) {
    const int natural = target.natural_vector_size<float>();
#define HNORM_SET_VECTOR(name)                         \
    if (knobs.name == kOfTarget) knobs.name = natural; \
    if (knobs.name > 2 * natural)                      \
        refuse_knob(#name, knobs.name, "at most " + std::to_string(2 * natural) + ", twice the target's vector");
#define HNORM_CHECK(name, by_default, ...) check_knob(#name, knobs.name, {__VA_ARGS__});
#define HNORM_COMPARE(less, more) \
    if (knobs.less > knobs.more)  \
        refuse_knob(#more, knobs.more, "at least " #less ", which is " + std::to_string(knobs.less));
    HNORM_VECTOR_KNOBS(HNORM_SET_VECTOR)
    HNORM_KNOBS(HNORM_CHECK)
    HNORM_ORDERED_KNOBS(HNORM_COMPARE)
#undef HNORM_SET_VECTOR
#undef HNORM_CHECK
#undef HNORM_COMPARE
    return knobs;
}

}  // namespace hnorm
