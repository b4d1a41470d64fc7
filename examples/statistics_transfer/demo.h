// The demo's command line.
#pragma once

#include <ostream>
#include <string>
#include <vector>

namespace demo {

// `arguments` without the program's name. Returns the exit status: 0; 1 when a number misses its
// bound or something failed; 2 for wrong arguments. Nothing is thrown.
int run(const std::vector<std::string> &arguments, std::ostream &out, std::ostream &err);

}  // namespace demo
