#include "progress.h"

#include <unistd.h>

#include <cstdio>
#include <utility>

namespace hnorm::tools {

Progress::Progress(std::string what, size_t rows)
    : what_(std::move(what)), rows_(rows), on_terminal_(isatty(STDERR_FILENO) != 0) {}

void Progress::show(size_t done) {
    constexpr double kEvery = 10;
    const double passed = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    if (!on_terminal_ && passed < said_ + kEvery) {
        return;
    }
    said_ = passed;
    std::fprintf(stderr, "%s%s%s%zu of %zu rows", on_terminal_ ? "\r\033[K" : "", what_.c_str(),
                 what_.empty() ? "" : ": ", done, rows_);
    if (done) {
        std::fprintf(stderr, ", about %.0f s left",
                     passed / static_cast<double>(done) * static_cast<double>(rows_ - done));
    }
    if (!on_terminal_) {
        std::fputs("\n", stderr);
    }
}

void Progress::hide() const {
    if (on_terminal_) {
        std::fputs("\r\033[K", stderr);
    }
}

}  // namespace hnorm::tools
