// Wisdom files as a text that is changed (hnorm/wisdom.h): what other machines and builds have
// written in it stays.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace hnorm::tools {

// A row's choice, as "target=x86-64-avx2 threads=1", and what a comment says about it.
struct RowChoice {
    std::string row, values, comment;
};

class WisdomText {
public:
    // The text of a file, or "" for a new one; and the number of threads that the calls have.
    WisdomText(const std::string &text, int threads);

    // The values of a row in the section of this build, machine and number of threads; "": it has
    // none.
    std::string values_of(const std::string &row) const;
    size_t choices() const { return section_.size(); }
    // Replaces what this section says about the rows.
    void replace(const std::vector<std::string> &rows, const std::vector<RowChoice> &choices);
    std::string text() const;

private:
    std::vector<std::string> others_;                           // lines: comments at the beginning, and other sections
    std::vector<std::pair<std::string, std::string>> section_;  // this one's rows, and the rest of their lines
    const int threads_;
};

// Where `hnorm tune` writes unless it is told otherwise: the file that hnorm reads.
std::string usual_wisdom_file();

}  // namespace hnorm::tools
