#include "file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
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

// What a symbolic link points to, in the end, whether it is there or not; a path that is no link is
// itself.
std::string followed(std::string path) {
    constexpr int kMost = 40;  // as the system's own limit
    std::error_code error;
    for (int i = 0; i < kMost; ++i) {
        const std::filesystem::path target = std::filesystem::read_symlink(path, error);
        if (error) return path;
        path = std::filesystem::path(path).parent_path() / target;  // which is `target` alone if that is absolute
    }
    fail_with("cannot be written", ELOOP);
}

// A new file beside the one that it is to replace: a rename cannot cross file systems. It has no
// name until it is whole, where the file system can do that, so that a process that is killed
// leaves nothing. It removes itself unless it is moved.
class Temporary {
public:
    explicit Temporary(const std::string &target) : folder_(target.substr(0, target.rfind('/') + 1)) {
        if (access("/proc/self/fd", X_OK) == 0) {  // where it gets its name from
            file_ = open(folder_.empty() ? "." : folder_.c_str(), O_WRONLY | O_TMPFILE | O_CLOEXEC, 0666);
        }
        if (file_ < 0) {
            make_name([this] {
                file_ = open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
                return file_ >= 0;
            });
        }
    }
    ~Temporary() {
        if (file_ >= 0) close(file_);
        if (!path_.empty() && !moved_) unlink(path_.c_str());
    }
    Temporary(const Temporary &) = delete;
    Temporary &operator=(const Temporary &) = delete;

    // Those of the file that was there; its owner only where the process may give files away.
    void set_owner_and_mode(const struct stat &before) {
        struct stat now;
        if (fstat(file_, &now) != 0) fail_with("cannot be written", errno);
        if ((now.st_uid != before.st_uid || now.st_gid != before.st_gid) &&
            fchown(file_, before.st_uid, before.st_gid) != 0 && errno != EPERM) {
            fail_with("cannot be written", errno);
        }
        if (fchmod(file_, before.st_mode & 07777) != 0) fail_with("cannot be written", errno);
    }

    // To the disk and not just into the system's memory: a rename may outlive a power failure that
    // its data does not.
    void write_all(const std::string &contents) {
        for (size_t done = 0; done < contents.size();) {
            const ssize_t count = write(file_, contents.data() + done, contents.size() - done);
            if (count < 0 && errno != EINTR) fail_with("cannot be written", errno);
            if (count > 0) done += static_cast<size_t>(count);
        }
        if (fsync(file_) != 0) fail_with("cannot be written", errno);
        if (path_.empty()) {
            const std::string self = "/proc/self/fd/" + std::to_string(file_);
            make_name([&] { return linkat(AT_FDCWD, self.c_str(), AT_FDCWD, path_.c_str(), AT_SYMLINK_FOLLOW) == 0; });
        }
        const int file = file_;
        file_ = -1;
        if (close(file) != 0) fail_with("cannot be written", errno);
    }

    void move_to(const std::string &target) {
        if (rename(path_.c_str(), target.c_str()) != 0) fail_with("cannot be replaced", errno);
        moved_ = true;
    }

private:
    // Calls make() with names in path_ until it can make that file.
    template <typename Make>
    void make_name(const Make &make) {
        static std::atomic<unsigned> counter{0};
        // Other hosts that share the folder may have the same process ids.
        for (int attempt = 0; attempt < 100; ++attempt) {
            path_ = folder_ + ".hnorm-" + std::to_string(getpid()) + "-" + std::to_string(counter++) + ".tmp";
            if (make()) return;
            if (errno != EEXIST) break;
        }
        const int error = errno;
        path_.clear();
        fail_with("cannot be written, no file can be made beside it", error);
    }

    const std::string folder_;
    std::string path_;  // empty: it has no name yet
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
    if (exists) {
        check_regular(status);
        // The rename below would not ask.
        if (access(path.c_str(), W_OK) != 0) fail_with("cannot be written", errno);
    }
    const std::string target = followed(path);  // it is replaced, not the link
    Temporary temporary(target);
    if (exists) temporary.set_owner_and_mode(status);
    temporary.write_all(contents);
    temporary.move_to(target);
}

}  // namespace hnorm::state
