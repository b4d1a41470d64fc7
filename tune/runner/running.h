// What a runner that crashes or is ended says with its last breath: which row of the table was
// running, and where. The tuner then knows which candidate to leave out.
#pragma once

#include <string>

namespace hnorm::tune {

// From here on signals that end the program write "running ROW at CASE" to the standard error
// first.
void say_on_signals();

// Both are kept as they are pointed to, since a signal's handler may not allocate.
void now_running(const std::string &row, const std::string &at);

}  // namespace hnorm::tune
