// The header of a .npy file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace hnorm::state {

struct NpyHeader {
    std::string type;  // as NumPy says it: byte order, kind and size, "<f4"
    std::vector<int64_t> shape;
    size_t end = 0;  // the offset of the first value

    std::string shape_text() const;  // as Python writes it: (64,)
};

// The header's bytes.
std::string npy_header(const std::string &type, const std::vector<int64_t> &shape);

// Reads the header of the .npy file that `name` names. Throws FileError.
NpyHeader read_npy_header(const std::string &name, const std::string &file);

// Text from a file as a message can show it: short and printable.
std::string shown(const std::string &text);

}  // namespace hnorm::state
