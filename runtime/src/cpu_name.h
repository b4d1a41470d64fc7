// What the machine's CPU is, for choices that were measured on one.
#pragma once

#include <string>

namespace hnorm::detail {

// "AMD EPYC 7B13 (family 25, model 1, stepping 1)". ARM's CPUs have numbers alone: "implementer 0x41
// part 0xd0c".
std::string cpu_name();
// The sizes of the data caches that a core reaches, from the first level on: "48K 1024K 32768K".
std::string cpu_caches();

}  // namespace hnorm::detail
