// What figures were measured on.
#pragma once

#include <string>

namespace hnorm::tools {

std::string now();  // the local time, as 2026-11-29T23:30:00+0100

// Forces a target, unless it is empty, and a number of threads, unless it is 0. Throws a Failure.
void choose(const std::string &target, int threads);

}  // namespace hnorm::tools
