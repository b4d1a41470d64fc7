#include "call_log_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace hnorm::detail {

namespace {

constexpr char kProcess[] = "%p";

struct Path {
    char text[PATH_MAX];
};

bool refuse(const char *name, const char *why) {
    std::fprintf(stderr, "hnorm: HNORM_LOG is \"%s\": the log cannot be written: %s\n", name, why);
    return false;
}

// The name with the process's number in the place of each %p.
bool expand(const char *name, Path *path) {
    size_t used = 0;
    for (const char *p = name; *p;) {
        const bool is_number = std::strncmp(p, kProcess, 2) == 0;
        const int added = is_number ? std::snprintf(path->text + used, sizeof path->text - used, "%d", getpid())
                                    : std::snprintf(path->text + used, sizeof path->text - used, "%c", *p);
        used += static_cast<size_t>(added);
        if (used >= sizeof path->text) {
            errno = ENAMETOOLONG;
            return false;
        }
        p += is_number ? 2 : 1;
    }
    path->text[used] = '\0';
    return true;
}

// What is no regular file is written to and not replaced. Nor are links that the system gives:
// /dev/stderr may name a regular file.
bool is_special(const char *path) {
    struct stat found = {};
    const bool is_of_system = std::strncmp(path, "/dev/", 5) == 0 || std::strncmp(path, "/proc/", 6) == 0;
    return (is_of_system && lstat(path, &found) == 0 && S_ISLNK(found.st_mode)) ||
           (stat(path, &found) == 0 && !S_ISREG(found.st_mode));
}

bool can_be_written(const char *path) {
    struct stat found = {};
    if (is_special(path)) {
        errno = EISDIR;
        return !(stat(path, &found) == 0 && S_ISDIR(found.st_mode)) && access(path, W_OK) == 0;
    }
    Path folder;
    std::snprintf(folder.text, sizeof folder.text, "%s", path);
    *(std::strrchr(folder.text, '/') + 1) = '\0';
    return access(folder.text, W_OK | X_OK) == 0;
}

// Of a file that is open; the file is closed.
bool print_to(std::FILE *file, void (*print)(std::FILE *file)) {
    if (file == nullptr) {
        return false;
    }
    print(file);
    const bool failed = std::fflush(file) != 0 || std::ferror(file);
    const int error = errno;
    const bool closed = std::fclose(file) == 0;
    errno = failed ? error : errno;
    return closed && !failed;
}

// What is no regular file, to write after what it has. A pipe that nobody reads is refused: a
// program that ends would wait for ever.
std::FILE *open_special(const char *path) {
    const int number = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (number < 0) {
        return nullptr;
    }
    fcntl(number, F_SETFL, O_APPEND);  // a reader may be slow
    std::FILE *const file = fdopen(number, "a");
    if (file == nullptr) {
        close(number);
    }
    return file;
}

// A new file beside `path`, whose name it gives: none that is there already, nor a link's.
std::FILE *create_beside(const char *path, Path *created) {
    constexpr int kAttempts = 100;
    for (int i = 0; i < kAttempts; ++i) {
        const int length = std::snprintf(created->text, sizeof created->text, "%s.%d.%d", path, getpid(), i);
        if (length >= static_cast<int>(sizeof created->text)) {
            errno = ENAMETOOLONG;
            return nullptr;
        }
        std::FILE *const file = std::fopen(created->text, "wxe");
        if (file != nullptr || errno != EEXIST) {
            return file;
        }
    }
    return nullptr;
}

}  // namespace

bool LogFile::choose(const char *name) {
    size_t used = 0;
    if (*name != '/') {
        if (getcwd(name_, sizeof name_) == nullptr) {
            return refuse(name, std::strerror(errno));
        }
        used = std::strlen(name_);
    }
    const int added = std::snprintf(name_ + used, sizeof name_ - used, "%s%s", used ? "/" : "", name);
    if (used + static_cast<size_t>(added) >= sizeof name_) {
        return refuse(name, std::strerror(ENAMETOOLONG));
    }
    Path path;
    return expand(name_, &path) && can_be_written(path.text) ? true : refuse(name, std::strerror(errno));
}

bool LogFile::is_of_process() const { return std::strstr(name_, kProcess) != nullptr; }

void LogFile::write(void (*print)(std::FILE *file)) const {
    Path path, next;
    if (!expand(name_, &path)) {
        refuse(name_, std::strerror(errno));
        return;
    }
    if (is_special(path.text)) {
        if (!print_to(open_special(path.text), print)) {
            refuse(path.text, std::strerror(errno));
        }
        return;
    }
    if (char *const target = realpath(path.text, nullptr)) {  // A link to a log stays one.
        std::snprintf(path.text, sizeof path.text, "%s", target);
        std::free(target);
    }
    std::FILE *const file = create_beside(path.text, &next);
    if (file == nullptr) {
        refuse(path.text, std::strerror(errno));
    } else if (!print_to(file, print) || std::rename(next.text, path.text) != 0) {
        const int error = errno;
        unlink(next.text);
        refuse(path.text, std::strerror(error));
    }
}

}  // namespace hnorm::detail
