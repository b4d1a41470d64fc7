#include "file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <system_error>

namespace hnorm::state {

namespace {

[[noreturn]] void fail_with(const char *what, int error) {
    throw FileError(std::string(what) + ": " + std::generic_category().message(error));
}

void check_regular(const struct stat &status) {
    if (S_ISDIR(status.st_mode)) {
        throw FileError("is a directory: it must be a file");
    }
    if (!S_ISREG(status.st_mode)) {
        throw FileError("is no regular file");
    }
}

// A new file beside the one that it is to replace: a rename cannot cross file systems. It removes itself unless it is moved.
class Temporary {
public:
    explicit Temporary(const std::string &target) {
        static std::atomic<unsigned> counter{0};
        const std::string folder = target.substr(0, target.rfind('/') + 1);
        // Other hosts that share the folder may have the same process ids.
        for (int attempt = 0; attempt < 100; ++attempt) {
            path_ = folder + ".hnorm-" + std::to_string(getpid()) + "-" + std::to_string(counter++) + ".tmp";
            file_ = open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
            if (file_ >= 0) return;
            if (errno != EEXIST) break;
        }
        fail_with("cannot be written, no file can be made beside it", errno);
    }
    ~Temporary() {
        if (file_ >= 0) close(file_);
        if (!moved_) unlink(path_.c_str());
    }
    Temporary(const Temporary &) = delete;
    Temporary &operator=(const Temporary &) = delete;

    void set_mode(mode_t mode) {
        if (fchmod(file_, mode) != 0) fail_with("cannot be written", errno);
    }

    // To the disk and not just into the system's memory: a rename may outlive a power failure that its data does not.
    void write_all(const std::string &contents) {
        for (size_t done = 0; done < contents.size();) {
            const ssize_t count = write(file_, contents.data() + done, contents.size() - done);
            if (count < 0 && errno != EINTR) fail_with("cannot be written", errno);
            if (count > 0) done += static_cast<size_t>(count);
        }
        if (fsync(file_) != 0) fail_with("cannot be written", errno);
        const int file = file_;
        file_ = -1;
        if (close(file) != 0) fail_with("cannot be written", errno);
    }

    void move_to(const std::string &target) {
        if (rename(path_.c_str(), target.c_str()) != 0) fail_with("cannot be replaced", errno);
        moved_ = true;
    }

private:
    std::string path_;
    int file_ = -1;
    bool moved_ = false;
};

}  // namespace

void check_readable(const std::string &path) {
    struct stat status;
    if (stat(path.c_str(), &status) != 0) {
        fail_with("cannot be read", errno);
    }
    check_regular(status);
    // libzip takes an empty file for an archive of no arrays.
    if (status.st_size == 0) {
        throw FileError("is empty: it must be a zip archive");
    }
}

void replace_file(const std::string &path, const std::string &contents) {
    struct stat status;
    const bool exists = stat(path.c_str(), &status) == 0;
    if (!exists && errno != ENOENT) {
        fail_with("cannot be written", errno);
    }
    std::string target = path;
    if (exists) {
        check_regular(status);
        // The rename below would not ask.
        if (access(path.c_str(), W_OK) != 0) fail_with("cannot be written", errno);
        // A link's target is replaced, not the link.
        const std::unique_ptr<char, decltype(&std::free)> resolved(realpath(path.c_str(), nullptr), std::free);
        if (resolved == nullptr) fail_with("cannot be written", errno);
        target = resolved.get();
    }
    Temporary temporary(target);
    if (exists) temporary.set_mode(status.st_mode & 07777);
    temporary.write_all(contents);
    temporary.move_to(target);
}

}  // namespace hnorm::state
