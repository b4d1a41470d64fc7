#pragma once

#include <string>

namespace hnorm::tune {

// A text without what JSON's strings would have to escape.
inline std::string plain(const std::string &text) {
    std::string result;
    for (const char c : text)
        if (static_cast<unsigned char>(c) >= ' ' && c != '"' && c != '\\') result += c;
    return result;
}

}  // namespace hnorm::tune
