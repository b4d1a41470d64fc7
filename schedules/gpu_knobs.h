// The knobs of the GPU templates, of schedules/space/gpu.json. A kernel reads those that concern it.
#pragma once

#include "../generators/chunks.h"
#include "gpu_space.h"
#include "knobs.h"

namespace hnorm {

struct GpuKnobs {
#define HNORM_MEMBER(name, ...) int name;
    HNORM_GPU_KNOBS(HNORM_MEMBER)
#undef HNORM_MEMBER
};

// The knobs. Throws where a value is not legal.
inline GpuKnobs legal_knobs(const GpuKnobs &knobs, Planes planes) {
    const int lanes = lanes_of(planes);
#define HNORM_CHECK_LANES(name, count) \
    if (planes_names().at(#name) == planes && count != lanes) throw std::logic_error("gpu.json: lanes of " #name);
#define HNORM_CHECK(name, by_default, ...)        \
    check_knob(#name, knobs.name, {__VA_ARGS__}); \
    [[maybe_unused]] const int name = knobs.name;
#define HNORM_COMPARE(knob, other, most)                                                                          \
    if (knob * other > most)                                                                                      \
        refuse_knob(#knob, knob,                                                                                  \
                    "at most " + std::to_string(most / other) + " where " #other " is " + std::to_string(other) + \
                        ": a block has at most " #most " threads");
    HNORM_BLOCK_LANES(HNORM_CHECK_LANES)
    HNORM_GPU_KNOBS(HNORM_CHECK)
    HNORM_BLOCK_KNOBS(HNORM_COMPARE)
#undef HNORM_CHECK_LANES
#undef HNORM_CHECK
#undef HNORM_COMPARE
    return knobs;
}

}  // namespace hnorm
