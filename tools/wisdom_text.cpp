#include "wisdom_text.h"

#include <hnorm/wisdom.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "failure.h"
#include "machine.h"

namespace hnorm::tools {
namespace {

constexpr char kSection[] = "[machine]";
constexpr char kBeginning[] =
    "# Wisdom of hnorm: choices that were measured for single calls. `hnorm tune` writes them, every program with\n"
    "# the same build of hnorm reads them (HNORM_WISDOM, or hnorm/wisdom.txt in a configuration folder).\n"
    "# A section is for one build, CPU and number of threads. Others ignore it. It can be deleted at any time.\n";

using Fields = std::vector<std::pair<std::string, std::string>>;

// What this machine's section asks for.
Fields asked(int threads) {
    return {{"build", hnorm_build()},
            {"cpu", hnorm_cpu()},
            {"caches", hnorm_caches()},
            {"threads", std::to_string(threads)}};
}

std::string trimmed(const std::string &text) {
    const size_t first = text.find_first_not_of(" \t\r"), last = text.find_last_not_of(" \t\r");
    return first == std::string::npos ? "" : text.substr(first, last - first + 1);
}

bool is_row(const std::string &line) { return line.substr(0, line.find(' ')).find('/') != std::string::npos; }

// The fields "name = value" of a section's lines, but for the date.
Fields fields_of(const std::vector<std::string> &lines) {
    Fields fields;
    for (const std::string &line : lines) {
        const size_t equals = line.find('=');
        if (line.empty() || line[0] == '#' || is_row(line) || equals == std::string::npos) {
            continue;
        }
        const std::string name = trimmed(line.substr(0, equals));
        if (name != "date") {
            fields.emplace_back(name, trimmed(line.substr(equals + 1)));
        }
    }
    return fields;
}

}  // namespace

WisdomText::WisdomText(const std::string &text, int threads) : threads_(threads) {
    std::vector<std::vector<std::string>> sections(1);  // the first: what comes before
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) {
        if (trimmed(line) == kSection) {
            sections.emplace_back();
        }
        sections.back().push_back(trimmed(line));
    }
    for (size_t i = 0; i < sections.size(); ++i) {
        if (i == 0 || fields_of({sections[i].begin() + 1, sections[i].end()}) != asked(threads)) {
            others_.insert(others_.end(), sections[i].begin(), sections[i].end());
            continue;
        }
        for (const std::string &line : sections[i]) {
            const size_t space = line.find(' ');
            if (is_row(line) && space != std::string::npos) {
                section_.emplace_back(line.substr(0, space), line.substr(space + 1));
            }
        }
    }
    while (!others_.empty() && others_.back().empty()) {
        others_.pop_back();
    }
}

std::string WisdomText::values_of(const std::string &row) const {
    const auto found =
        std::find_if(section_.begin(), section_.end(), [&](const auto &one) { return one.first == row; });
    return found == section_.end() ? "" : trimmed(found->second.substr(0, found->second.find('#')));
}

void WisdomText::replace(const std::vector<std::string> &rows, const std::vector<RowChoice> &choices) {
    section_.erase(
        std::remove_if(section_.begin(), section_.end(),
                       [&](const auto &one) { return std::find(rows.begin(), rows.end(), one.first) != rows.end(); }),
        section_.end());
    for (const RowChoice &choice : choices) {
        section_.emplace_back(choice.row, choice.values + (choice.comment.empty() ? "" : "  # " + choice.comment));
    }
}

std::string WisdomText::text() const {
    std::string text = others_.empty() ? kBeginning : "";
    for (const std::string &line : others_) {
        text += line + "\n";
    }
    text += std::string("\n") + kSection + "\n";
    for (const auto &[name, value] : asked(threads_)) {
        text += name + " = " + value + "\n";
    }
    text += "date = " + now() + "\n";
    for (const auto &[row, rest] : section_) {
        text += row + " " + rest + "\n";
    }
    return text;
}

std::string usual_wisdom_file() {
    const auto variable = [](const char *name) {
        const char *const value = std::getenv(name);
        return std::string(value ? value : "");
    };
    if (!variable("HNORM_WISDOM").empty()) {
        return variable("HNORM_WISDOM");
    }
    const std::string of_user = variable("XDG_CONFIG_HOME"), home = variable("HOME");
    if (of_user.empty() && home.empty()) {
        throw Failure("HOME is not set: --output must say where the wisdom goes");
    }
    const std::string folder = of_user.empty() ? home + "/.config" : of_user;
    if (folder[0] != '/') {
        throw Failure(std::string(of_user.empty() ? "HOME" : "XDG_CONFIG_HOME") + " is '" +
                      (of_user.empty() ? home : of_user) +
                      "': programs ignore it, since it is no absolute path. --output must say where the wisdom goes");
    }
    return folder + "/hnorm/wisdom.txt";
}

}  // namespace hnorm::tools
