// The text of wisdom files (docs/tuning.md, "The wisdom file").
#pragma once

#include <string>
#include <vector>

#include "wisdom.h"

namespace hnorm::detail {

// What a section may ask for.
struct WisdomMachine {
    std::string build, cpu, caches;
};

// The rows that a choice is for, as the benchmark names them: one, or more of them.
struct Rows {
    static constexpr int64_t kInstance = -1;

    Computes computes;
    bool activation, residual;
    Layout layout;  // tensors of one position are channels-last, as in Planes
    hnorm_type type;
    int64_t groups;  // of channels in a sample; 0: batch norm; kInstance: each channel
    int64_t n, c, s;
    bool any_function, any_group, any_layout, any_type, any_shape;
    int threads;  // 0: any number

    bool hold(const CallKind &call, int call_threads) const;
    // Whether they are one row, so that calls can look it up.
    bool is_one() const { return threads && !any_function && !any_group && !any_layout && !any_type && !any_shape; }
};

struct Choice {
    Rows rows = {};
    Plan plan;
};

// What files say, and sentences about them.
struct WisdomText {
    std::vector<Choice> choices;
    std::vector<std::string> notes;

    // Adds what a text says that fits the machine. `name` is what notes call it.
    void add(const std::string &name, const std::string &text, const WisdomMachine &machine);
};

// The contents of a regular file of a reasonable size. A problem is a reason, or "" if there is none;
// *missing: whether there is no such file.
std::string read_wisdom_file(const std::string &path, std::string *text, bool *missing);

}  // namespace hnorm::detail
