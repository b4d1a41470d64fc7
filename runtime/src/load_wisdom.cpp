// The wisdom files that are read: those of the machine, and that of hnorm_load_wisdom.
#include <cstdlib>
#include <string>
#include <vector>

#include "cpu_model.h"
#include "error.h"
#include "wisdom_file.h"

namespace hnorm::detail {

namespace {

std::string variable(const char *name) {
    const char *const value = secure_getenv(name);  // a privileged program reads no file that its user names
    return value ? value : "";
}

// The files that are read by themselves; the latter come first.
std::vector<std::string> files_of_machine(bool *named) {
    const std::string wanted = variable("HNORM_WISDOM");
    *named = !wanted.empty();
    if (*named) {
        return {wanted};
    }
    std::vector<std::string> folders = {"/etc"};
    std::string of_system = variable("XDG_CONFIG_DIRS");
    of_system = of_system.empty() ? "/etc/xdg" : of_system;
    for (size_t end = of_system.size(); end != std::string::npos;) {  // its first folder comes first
        const size_t colon = end == 0 ? std::string::npos : of_system.rfind(':', end - 1);
        const size_t begin = colon == std::string::npos ? 0 : colon + 1;
        folders.push_back(of_system.substr(begin, end - begin));
        end = colon;
    }
    const std::string home = variable("HOME"), of_user = variable("XDG_CONFIG_HOME");
    folders.push_back(of_user.empty() && !home.empty() ? home + "/.config" : of_user);
    std::vector<std::string> files;
    for (const std::string &folder : folders) {
        if (!folder.empty() && folder[0] == '/') {
            files.push_back(folder + "/hnorm/wisdom.txt");
        }
    }
    return files;
}

}  // namespace

void read_wisdom_of_machine(WisdomText *text) {
    bool named, missing;
    for (const std::string &path : files_of_machine(&named)) {
        std::string contents;
        const std::string problem = read_wisdom_file(path, &contents, &missing);
        if (problem.empty()) {
            text->add(path, contents, {hnorm_build_name, cpu_name(), cpu_caches()});
        } else if (named || !missing) {
            text->notes.push_back(path + ": ignored: " + problem);
        }
    }
}

}  // namespace hnorm::detail

using namespace hnorm::detail;

extern "C" {

hnorm_status hnorm_load_wisdom(const char *path) {
    const char *const function = "hnorm_load_wisdom";
    if (path == nullptr) {
        return fail(HNORM_INVALID_ARGUMENT, "%s: path is null: it must name a file", function);
    }
    try {
        std::string contents;
        bool missing;
        const std::string problem = read_wisdom_file(path, &contents, &missing);
        if (!problem.empty()) {
            return fail(HNORM_INVALID_ARGUMENT, "%s: path is \"%.200s\": %s", function, path, problem.c_str());
        }
        learn_wisdom(path, contents);
    } catch (...) {
        return fail(HNORM_OUT_OF_MEMORY, "%s: no memory for what \"%.200s\" says", function, path);
    }
    return HNORM_OK;
}

}  // extern "C"
