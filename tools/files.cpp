#include "files.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "failure.h"

namespace hnorm::tools {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse(const std::string &argument, const std::string &path, const char *what = "written") {
    throw Failure(argument + " is '" + path + "': it cannot be " + what + ": " + std::strerror(errno));
}

// The file that a link names, and beside it the one that takes its place.
std::string target_of(const std::string &path) {
    std::error_code none;
    const fs::path target = fs::canonical(path, none);
    return none ? path : target.string();
}
std::string next_of(const std::string &target) { return target + "." + std::to_string(getpid()) + ".new"; }

bool write(const std::string &path, const char *mode, const std::string &content) {
    std::FILE *const file = std::fopen(path.c_str(), mode);
    if (file == nullptr) {
        return false;
    }
    const bool written = std::fwrite(content.data(), 1, content.size(), file) == content.size();
    return (std::fclose(file) == 0) && written;
}

// The file that takes the other's place is a new one: in a folder of others a link could lie there.
bool write_next(const std::string &next, const std::string &content) {
    std::remove(next.c_str());
    return write(next, "wxe", content);
}

}  // namespace

bool is_replaced(const std::string &path) {
    std::error_code error;
    const bool is_of_system = path.rfind("/dev/", 0) == 0 || path.rfind("/proc/", 0) == 0;
    if (is_of_system && fs::is_symlink(path, error)) {  // /dev/stdout may name a regular file
        return false;
    }
    const fs::file_status status = fs::status(path, error);
    return !fs::exists(status) || fs::is_regular_file(status);
}

std::string read_file(const std::string &argument, const std::string &path) {
    std::error_code none;
    if (!is_replaced(path) || !fs::exists(path, none)) {
        return "";
    }
    std::FILE *const file = std::fopen(path.c_str(), "re");
    std::string content;
    bool whole = file != nullptr;
    char part[4096];
    for (size_t got = 1; whole && got > 0;) {
        got = std::fread(part, 1, sizeof part, file);
        content.append(part, got);
        whole = std::ferror(file) == 0;
    }
    if (!whole) {
        refuse(argument, path, "read");
    }
    std::fclose(file);
    return content;
}

void write_file(const std::string &argument, const std::string &path, const std::string &content) {
    if (!is_replaced(path)) {
        if (!write(path, "ae", content)) {
            refuse(argument, path);
        }
        return;
    }
    const std::string target = target_of(path), next = next_of(target);
    if (!write_next(next, content) || std::rename(next.c_str(), target.c_str()) != 0) {
        const int error = errno;
        std::remove(next.c_str());
        errno = error;
        refuse(argument, path);
    }
}

void check_writable(const std::string &argument, const std::string &path) {
    std::error_code none;
    if (fs::is_directory(path, none)) {
        errno = EISDIR;
        refuse(argument, path);
    }
    if (is_replaced(path)) {
        const std::string next = next_of(target_of(path));
        if (!write_next(next, "")) {
            refuse(argument, path);
        }
        std::remove(next.c_str());
    }
}

}  // namespace hnorm::tools
