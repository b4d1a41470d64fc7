// Refuses values of knobs that schedules/space/ does not list.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <stdexcept>
#include <string>

namespace hnorm {

[[noreturn]] inline void refuse_knob(const std::string &name, int value, const std::string &allowed) {
    throw std::invalid_argument("knob " + name + " is " + std::to_string(value) + ": it must be " + allowed);
}

inline void check_knob(const char *name, int value, std::initializer_list<int> values) {
    if (std::find(values.begin(), values.end(), value) != values.end()) return;
    std::string allowed;
    for (int v : values) allowed += (allowed.empty() ? "" : ", ") + std::to_string(v);
    refuse_knob(name, value, "one of " + allowed);
}

}  // namespace hnorm
