#include "cores.h"

#include <sched.h>

#include <algorithm>
#include <cstdio>
#include <thread>

namespace hnorm::detail {

namespace {

std::string contents(const std::string &path) {
    std::string text;
    if (std::FILE *const file = std::fopen(path.c_str(), "re")) {
        char part[1024];
        for (size_t got; (got = std::fread(part, 1, sizeof part, file)) > 0;) {
            text.append(part, got);
        }
        std::fclose(file);
    }
    return text;
}

// Quota and period, of version 2 in one file, "max 100000" where there is no limit; of version 1 in
// two, -1.
int of_folder(const std::string &folder, bool unified) {
    const std::string text =
        unified ? contents(folder + "/cpu.max")
                : contents(folder + "/cpu.cfs_quota_us") + " " + contents(folder + "/cpu.cfs_period_us");
    long long quota = 0, period = 0;
    const bool read = std::sscanf(text.c_str(), "%lld %lld", &quota, &period) == 2 && quota > 0 && period > 0;
    return read ? static_cast<int>(std::min((quota + period - 1) / period, 1LL << 20)) : 0;
}

int fewer(int a, int b) { return a == 0 || b == 0 ? std::max(a, b) : std::min(a, b); }

// Of the folder and of those it lies in, up to the root.
int of_path(const std::string &root, std::string path, bool unified) {
    int found = of_folder(root, unified);
    for (; path.size() > 1; path.erase(path.find_last_of('/'))) {
        found = fewer(found, of_folder(root + path, unified));
    }
    return found;
}

int cores_of_affinity() {
    for (int most = 1024; most <= 1 << 16; most *= 4) {
        cpu_set_t *const set = CPU_ALLOC(static_cast<size_t>(most));
        if (set == nullptr) {
            break;
        }
        const size_t size = CPU_ALLOC_SIZE(static_cast<size_t>(most));
        const int count = sched_getaffinity(0, size, set) == 0 ? CPU_COUNT_S(size, set) : 0;
        CPU_FREE(set);
        if (count > 0) {
            return count;
        }
    }
    return static_cast<int>(std::thread::hardware_concurrency());
}

}  // namespace

int cores_granted(const std::string &groups, const std::string &root) {
    int found = 0;
    for (size_t begin = 0; begin < groups.size();) {  // lines "number:controllers:path"
        const size_t end = std::min(groups.find('\n', begin), groups.size());
        const std::string line = groups.substr(begin, end - begin);
        begin = end + 1;
        const size_t first = line.find(':'), second = first == std::string::npos ? first : line.find(':', first + 1);
        if (second == std::string::npos) {
            continue;
        }
        const std::string controllers = line.substr(first + 1, second - first - 1), path = line.substr(second + 1);
        if (controllers.empty()) {
            found = fewer(found, of_path(root, path, true));
        } else if (("," + controllers + ",").find(",cpu,") != std::string::npos) {
            found = fewer(found, of_path(root + "/" + controllers, path, false));
            found = fewer(found, of_path(root + "/cpu", path, false));
        }
    }
    return found;
}

int usable_cores() {
    const int cores = std::max(cores_of_affinity(), 1);
    try {
        return std::max(fewer(cores, cores_granted(contents("/proc/self/cgroup"), "/sys/fs/cgroup")), 1);
    } catch (...) {  // no memory for the texts
        return cores;
    }
}

}  // namespace hnorm::detail
