// What tests of wisdom share: files in a folder, notes about them, and processes that have read
// none yet.
#pragma once

#include "in_child.h"

#include <hnorm/wisdom.h>

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace test {

// A folder of its own, which goes with its files.
class Folder {
public:
    Folder() { REQUIRE(mkdtemp(path_) != nullptr); }
    ~Folder() {
        const std::string command = std::string("rm -rf ") + path_;
        if (std::system(command.c_str()) != 0) std::abort();
    }
    std::string path(const std::string &name = "") const { return path_ + ("/" + name); }
    std::string write(const std::string &name, const std::string &text) const {
        for (size_t at = name.find('/'); at != name.npos; at = name.find('/', at + 1))
            mkdir(path(name.substr(0, at)).c_str(), 0755);
        std::ofstream(path(name), std::ios::binary) << text;
        return path(name);
    }

private:
    char path_[32] = "/tmp/hnorm-wisdom-XXXXXX";
};

inline std::string all_notes() {
    std::string text;
    for (int i = 0; i < hnorm_wisdom_note_count(); i++) text += std::string(hnorm_wisdom_note(i)) + "\n";
    return text;
}

// What `body` returns in a process of its own, which has computed nothing yet.
inline std::string in_child(const std::vector<std::pair<const char *, std::string>> &environment,
                            const std::function<std::string()> &body) {
    const auto prepare = [&] {
        for (const char *name : {"HNORM_WISDOM", "HNORM_TARGET", "HOME", "XDG_CONFIG_HOME"}) unsetenv(name);
        setenv("XDG_CONFIG_DIRS", "/nowhere", 1);
        for (const auto &[name, value] : environment) setenv(name, value.c_str(), 1);
    };
    return in_child_after(prepare, body);
}

}  // namespace test
