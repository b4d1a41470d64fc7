#pragma once

#include <stdexcept>

namespace hnorm::tools {

// Thrown by a command that cannot do what it was asked for. The message names the argument, its
// value and what is allowed.
struct Failure : std::runtime_error {
    using std::runtime_error::runtime_error;
};

}  // namespace hnorm::tools
