// The knobs of the GPU templates, of schedules/space/gpu.json. A kernel reads those that concern
// it.
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

// Of a knob that has a part in the threads of a block: `most` is what leaves no more than a block
// may have.
inline void check_threads(const char *name, int value, int most, const std::string &where) {
    if (value > most)
        refuse_knob(name, value,
                    "at most " + std::to_string(most) + " " + where + ": a block has at most " +
                        std::to_string(HNORM_BLOCK_THREADS) + " threads");
}

// The knobs. Throws where a value is not legal.
inline GpuKnobs legal_knobs(const GpuKnobs &knobs, PlaneClass planes) {
    const int lanes = lanes_of(planes) * kChunksPerRun;
    const auto are = [&](const char *name) { return planes_names().at(name) == planes; };
#define HNORM_CHECK_LANES(name, count) \
    if (are(#name) && count != lanes) throw std::logic_error("gpu.json: lanes of " #name);
#define HNORM_CHECK(name, by_default, ...)        \
    check_knob(#name, knobs.name, {__VA_ARGS__}); \
    [[maybe_unused]] const int name = knobs.name; \
    [[maybe_unused]] constexpr int default_of_##name = by_default;
// A default is legal. Kernels that do not have the knob have it, whatever their lanes.
#define HNORM_PRODUCT(knob, other) \
    if (knob != default_of_##knob) \
        check_threads(#knob, knob, HNORM_BLOCK_THREADS / other, "where " #other " is " + std::to_string(other));
    HNORM_BLOCK_LANES(HNORM_CHECK_LANES)
    HNORM_GPU_KNOBS(HNORM_CHECK)
    HNORM_BLOCK_PRODUCTS(HNORM_PRODUCT)
#undef HNORM_CHECK_LANES
#undef HNORM_CHECK
#undef HNORM_PRODUCT
    return knobs;
}

}  // namespace hnorm
