// The model of this machine's CPU.
#pragma once

// Vendor, family and model, as perf has them: "AuthenticAMD-25-11", "GenuineIntel-6-8F" (the model
// is hexadecimal). Of ARM the implementer and the part: "arm64-41-D0C". "unknown" where the system
// does not say. The environment variable HNORM_CPU_MODEL replaces it. It has a C name, so that the
// tuner can ask.
extern "C" const char *hnorm_cpu_model(void);

namespace hnorm::detail {

// How near a model is to another: 0 is the same, 1 and more the same family, less is nearer. -1:
// another family.
int cpu_distance(const char *model, const char *other);

}  // namespace hnorm::detail
