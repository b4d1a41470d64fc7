// This machine's CPU, for values that were measured on one.
#pragma once

// Vendor, family and model, as perf has them: "AuthenticAMD-25-11", "GenuineIntel-6-8F" (the model
// is hexadecimal). Of ARM the implementer and the part: "arm64-41-D0C". "unknown" where the system
// does not say. The environment variable HNORM_CPU_MODEL replaces it. The function has a C name, so
// that the tuner can call it.
extern "C" const char *hnorm_cpu_model(void);

namespace hnorm::detail {

// How far a model is from another. 0: the same. 1 and more: another of the same family; less is
// nearer. -1: of another family.
int cpu_distance(const char *model, const char *other);

// The model behind the name that the CPU gives itself: "AMD EPYC 7B13, AuthenticAMD-25-1". Virtual
// machines may have a name that says little: "AMD EPYC".
const char *cpu_name();
// The sizes of the data caches that a core reaches, from the first level on: "48K 1024K 32768K".
const char *cpu_caches();

}  // namespace hnorm::detail
