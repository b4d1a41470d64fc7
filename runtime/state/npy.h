// NumPy's .npy format, for arrays of rank 0 and 1 (numpy.org, "numpy.lib.format"): a header that is
// a Python dictionary's text, then the values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace hnorm::state {

// What an array of a layer holds.
enum class Type { kFloat32, kFloat64, kInt64 };

size_t size_of(Type type);
// The largest of a value in a file.
constexpr uint64_t kMaxSize = 8;

// The longest header that version 1 of the format can have, and more than any of the arrays here
// needs.
constexpr uint64_t kMaxNpyHeader = 10 + 65535;

// A .npy file of values in this machine's memory. count: of the rank-1 array; a scalar has one
// value and rank 0.
std::string write_npy(Type type, bool scalar, int64_t count, const void *values);

// The values of a .npy file, which `name` names, in this machine's memory. Throws FileError unless
// they fit that type (floats may be of 16, 32 or 64 bits, int64 int32), in number and shape:
// (count,), or for a scalar () or (1,).
std::vector<char> read_npy(const std::string &name, const std::string &file, Type type, bool scalar, int64_t count);

}  // namespace hnorm::state
