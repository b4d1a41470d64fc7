#pragma once

#include <string>

namespace hnorm::tools {

// Whether a name is that of a file, or of none yet. What is no regular file, and links of the
// system's, as /dev/stdout, are written to and not replaced.
bool is_replaced(const std::string &path);
// The content of a regular file; "" where there is none, or something else. Throws a Failure where
// it cannot be read.
std::string read_file(const std::string &argument, const std::string &path);
// Gives the file a new content, at once: who reads it meanwhile finds all of the old one.
// `argument` is what an error names.
void write_file(const std::string &argument, const std::string &path, const std::string &content);
// That write_file() can do so.
void check_writable(const std::string &argument, const std::string &path);

}  // namespace hnorm::tools
