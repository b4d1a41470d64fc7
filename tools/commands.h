// The commands of the program hnorm. A command is a file with one function here: it adds the
// command and its arguments, and runs it where it was asked for.
#pragma once

#include <CLI/CLI.hpp>

#include "failure.h"

namespace hnorm::tools {

void add_bench(CLI::App &program);
void add_info(CLI::App &program);
void add_tune(CLI::App &program);

}  // namespace hnorm::tools
