#pragma once

#include <string>

namespace hnorm::tools {

// Makes the call that words name, as "forward batch 32x64x112x112 f32", and prints what the library
// decides about it, and why. The library says so itself where it decides. Throws a Failure where
// the words name no call.
void explain(const std::string &words);

}  // namespace hnorm::tools
