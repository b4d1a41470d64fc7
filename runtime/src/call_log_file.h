// The file that HNORM_LOG names: a new one takes its place at once, and only when it is complete.
#pragma once

#include <climits>
#include <cstdio>

namespace hnorm::detail {

// Trivial, as it outlives the static objects of a program that ends.
class LogFile {
public:
    // Keeps the name, which counts from the folder of now. Where the file cannot be written, it
    // says so on the standard error, in one line, and returns false.
    bool choose(const char *name);
    // Whether the name has the process's number in it, as %p.
    bool is_of_process() const;
    // Writes what print(file) does, or says why not.
    void write(void (*print)(std::FILE *file)) const;

private:
    char name_[PATH_MAX];
};

}  // namespace hnorm::detail
