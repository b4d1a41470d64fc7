// The commands of the program hnorm. A command is a file with one function here: it adds the command and its arguments, and
// runs it where it was asked for.
#pragma once

#include <CLI/CLI.hpp>

#include <stdexcept>

namespace hnorm::tools {

// Thrown by a command that cannot do what it was asked for. The message names the argument, its value and what is allowed.
struct Failure : std::runtime_error {
    using std::runtime_error::runtime_error;
};

void add_info(CLI::App &program);

}  // namespace hnorm::tools
