// Logs of calls (HNORM_LOG). The library reads the variable once, at the first call: each log is
// that of a child, and this process makes no call.
#pragma once

#include "api.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace logs {

namespace fs = std::filesystem;

class Folder {
public:
    Folder() {
        char name[] = "/tmp/hnorm_log_XXXXXX";
        REQUIRE(mkdtemp(name));
        path_ = name;
    }
    ~Folder() { fs::remove_all(path_); }
    std::string operator/(const std::string &name) const { return path_ + "/" + name; }
    std::vector<std::string> files() const {
        std::vector<std::string> names;
        for (const auto &entry : fs::directory_iterator(path_)) names.push_back(entry.path().filename());
        std::sort(names.begin(), names.end());
        return names;
    }

private:
    std::string path_;
};

inline std::string text_of(const std::string &path) {
    std::ifstream file(path);
    return std::string(std::istreambuf_iterator<char>(file), {});
}

// What a child that logs to `log` and ends as programs do says on the standard error.
inline std::string child_says(const Folder &folder, const std::string &log, const std::function<void()> &body) {
    std::fflush(nullptr);
    const std::string said = folder / "stderr";
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        alarm(60);
        setenv("HNORM_LOG", log.c_str(), 1);
        if (!std::freopen(said.c_str(), "w", stderr)) _exit(1);
        body();
        exit(0);
    }
    int status = -1;
    REQUIRE(waitpid(child, &status, 0) == child);
    REQUIRE((WIFEXITED(status) && WEXITSTATUS(status) == 0));
    const std::string text = text_of(said);
    fs::remove(said);
    return text;
}

struct Line {
    long calls;
    double seconds;
    std::string remark;
};
// By the words before the comment, with one space between.
inline std::map<std::string, Line> lines_of(const std::string &log) {
    std::ifstream file(log);
    std::map<std::string, Line> lines;
    for (std::string text; std::getline(file, text);) {
        std::istringstream words(text.substr(0, text.find('#')));
        std::string call, word;
        while (words >> word) call += (call.empty() ? "" : " ") + word;
        if (call.empty()) continue;
        Line line = {};
        char remark[200] = "";
        INFO(text);
        REQUIRE(std::sscanf(text.c_str() + text.find('#'), "# %ld call%*[s,] %lf s%199[^\n]", &line.calls,
                            &line.seconds, remark) >= 2);
        line.remark = remark;
        REQUIRE(lines.emplace(call + line.remark, line).second);
    }
    return lines;
}

inline void require_lines(const std::string &log, const std::map<std::string, long> &expected) {
    const std::map<std::string, Line> lines = lines_of(log);
    INFO(text_of(log));
    for (const auto &[call, calls] : expected) {
        INFO(call);
        REQUIRE(lines.count(call) == 1);
        REQUIRE(lines.at(call).calls == calls);
        REQUIRE((lines.at(call).seconds >= 0 && lines.at(call).seconds < 60));
    }
    REQUIRE(lines.size() == expected.size());
}

// In a child: Catch's macros would report to the wrong process.
inline void must(hnorm_status status) {
    if (status != HNORM_OK) _exit(2);
}

class Tensor {
public:
    explicit Tensor(const std::vector<int64_t> &shape, int last = 0, hnorm_type type = HNORM_F32)
        : memory_(size(shape) * 2, 0.5f),
          tensor(hnorm_dense(memory_.data(), type, last, static_cast<int>(shape.size()), shape.data())) {
        api::fill(memory_, 7);
    }

private:
    static size_t size(const std::vector<int64_t> &shape) {
        size_t count = 1;
        for (int64_t extent : shape) count *= static_cast<size_t>(extent);
        return count;
    }
    std::vector<float> memory_;

public:
    hnorm_tensor tensor;
};

inline void forward(const std::vector<int64_t> &shape) {
    const Tensor x(shape), y(shape);
    must(hnorm_forward(&x.tensor, HNORM_BATCH, nullptr, 1e-5, nullptr, &y.tensor, nullptr, nullptr));
}

}  // namespace logs
