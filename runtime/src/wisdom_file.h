// Wisdom files: their text (docs/choices.md, "The wisdom file"), and which of them are read.
#pragma once

#include <string>
#include <vector>

#include "wisdom_choice.h"

namespace hnorm::detail {

// What a section may ask for.
struct WisdomMachine {
    const char *build, *cpu, *caches;
};

// What files say, and sentences about them.
struct WisdomText {
    std::vector<Choice> choices;
    std::vector<std::string> notes;

    // Adds what a text says that fits the machine. `name` is what notes call it. Of choices for the
    // same rows the latest stays, and of notes those of the latest text of a name: who reads a file
    // again and again needs no more memory for it.
    void add(const std::string &name, const std::string &text, const WisdomMachine &machine);
    bool operator==(const WisdomText &other) const { return choices == other.choices && notes == other.notes; }
};

// The contents of a regular file of a reasonable size. A problem is a reason, or "" if there is
// none; *missing: whether there is no such file.
std::string read_wisdom_file(const std::string &path, std::string *text, bool *missing);
// Adds what the files say that are read by themselves (hnorm/wisdom.h).
void read_wisdom_of_machine(WisdomText *text);
// Adds what a text says to what is known (wisdom.h). `name` is what notes call it. Throws where
// memory runs out.
void learn_wisdom(const std::string &name, const std::string &text);

}  // namespace hnorm::detail
