// This machine's CPU, for values that were measured on one.
#pragma once

#include <string>

// Vendor, family and model, as perf has them: "AuthenticAMD-25-11", "GenuineIntel-6-8F" (the model
// is hexadecimal). Of ARM the implementer and the part: "arm64-41-D0C". "unknown" where the system
// does not say. The environment variable HNORM_CPU_MODEL replaces it. It has a C name, so that the
// tuner can ask.
extern "C" const char *hnorm_cpu_model(void);

namespace hnorm::detail {

// How near a model is to another: 0 is the same, 1 and more the same family, less is nearer. -1:
// another family.
int cpu_distance(const char *model, const char *other);

// The model behind the name that the CPU gives itself: "AMD EPYC 7B13, AuthenticAMD-25-1". Virtual
// machines may have a name that says little: "AMD EPYC".
std::string cpu_name();
// The sizes of the data caches that a core reaches, from the first level on: "48K 1024K 32768K".
std::string cpu_caches();

}  // namespace hnorm::detail
