// The arguments by which a command is told its rows: lists of shapes, and what narrows them.
#pragma once

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

#include "shapes.h"

namespace hnorm::tools {

struct RowArguments {
    std::vector<std::string> lists;
    Asked asked;
};
void add_row_arguments(CLI::App *command, RowArguments *arguments);
// The rows of all lists, each once. Throws a Failure if there are none.
std::vector<std::string> rows_of(const RowArguments &arguments);

// That a word is known, for add_option()->check().
CLI::Validator known(bool (*is_known)(const std::string &), const std::string &what_is);

}  // namespace hnorm::tools
