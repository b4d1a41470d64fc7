// The text of wisdom files (docs/choices.md, "The wisdom file").
#pragma once

#include <string>
#include <vector>

#include "wisdom_choice.h"

namespace hnorm::detail {

// What a section may ask for.
struct WisdomMachine {
    std::string build, cpu, caches;
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
