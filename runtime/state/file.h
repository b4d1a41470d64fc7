// Files on the disk, and what is wrong with one.
#pragma once

#include <stdexcept>
#include <string>

namespace hnorm::state {

// What is wrong with a file, in words that follow its name.
class FileError : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

// Refuses what is missing, no regular file (a pipe would keep its reader waiting) or empty.
void check_readable(const std::string &path);

// Gives `path` these contents, or fails and leaves what was there.
void replace_file(const std::string &path, const std::string &contents);

}  // namespace hnorm::state
