// How far a command is: a line on a terminal, elsewhere a line every ten seconds.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

namespace hnorm::tools {

class Progress {
public:
    // what: the word before the number of rows, as "searching"; or "".
    Progress(std::string what, size_t rows);
    void show(size_t done);
    void hide() const;

private:
    const std::string what_;
    const size_t rows_;
    const bool on_terminal_;
    const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
    double said_ = 0;
};

}  // namespace hnorm::tools
