// The arguments of the example programs: a CSV file to write, and numbers from 1 to 999 after their
// names.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace digits {

// Returns the file, and sets the numbers that are given. Throws std::invalid_argument, which ends
// with `usage`.
std::string parse(int argc, char **argv, const std::string &usage,
                  const std::vector<std::pair<std::string, int *>> &numbers);

}  // namespace digits
