// Schedules to compare ours with: none at all, and those of Halide's autoschedulers. They are for
// benchmarks, never in the library.
#pragma once

#include <Halide.h>

#include <map>
#include <string>
#include <vector>

#include "../generators/chunks.h"

namespace hnorm {

enum class Scheduler {
    Template,  // ours: schedules/cpu.h, cpu_last.h
    Naive,     // every Func computed whole before the next: loops as the algorithm states them
};

inline const std::map<std::string, Scheduler> &scheduler_names() {
    static const std::map<std::string, Scheduler> names = {{"template", Scheduler::Template},
                                                           {"naive", Scheduler::Naive}};
    return names;
}

namespace others {

inline void naive(const std::vector<Func> &outputs) {
    std::vector<Internal::Function> functions;
    for (const Func &f : outputs) functions.push_back(f.function());
    for (const auto &[name, function] : Internal::build_environment(functions)) Func(function).compute_root();
}

// A layer of a convolutional network of each class, x(s, r, g0, g1), as batch norm sees it.
inline std::vector<int> estimates(PlaneClass planes) {
    const int positions = planes == PlaneClass::Tiny ? 9 : planes == PlaneClass::Large ? 112 * 112 : 14 * 14;
    return {positions, 32, 256, 1};
}
// The extents of a buffer of so many dimensions: a tensor's elements, or values of groups.
inline std::vector<int> estimates(PlaneClass planes, int dimensions) {
    const std::vector<int> x = estimates(planes);
    return dimensions == 2 ? std::vector<int>{x[2], x[3]} : x;
}

}  // namespace others
}  // namespace hnorm
