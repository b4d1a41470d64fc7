// The knobs of the CPU templates, as schedules/space/cpu.json has them. A kernel reads those that
// concern it.
#pragma once

#include <Halide.h>

#include "cpu_space.h"
#include "knobs.h"

namespace hnorm {

constexpr int kOfTarget = 0;  // the default of knobs that follow the target's vector

struct CpuKnobs {
#define HNORM_MEMBER(name, ...) int name;
    HNORM_CPU_KNOBS(HNORM_MEMBER)
#undef HNORM_MEMBER
};

// The knobs; those that were left to the target have the size of its vector. Throws if a value is
// not legal.
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
    HNORM_CPU_KNOBS(HNORM_CHECK)
    HNORM_ORDERED_KNOBS(HNORM_COMPARE)
#undef HNORM_SET_VECTOR
#undef HNORM_CHECK
#undef HNORM_COMPARE
    return knobs;
}

}  // namespace hnorm
