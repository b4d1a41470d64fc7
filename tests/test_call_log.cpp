// HNORM_LOG. The library reads the variable once, at the first call: each log is that of a child,
// and this process makes no call.
#include "api.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <thread>

using namespace api;

namespace {

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

std::string text_of(const std::string &path) {
    std::ifstream file(path);
    return std::string(std::istreambuf_iterator<char>(file), {});
}

// What a child that logs to `log` and ends as programs do says on the standard error.
std::string child_says(const Folder &folder, const std::string &log, const std::function<void()> &body) {
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
std::map<std::string, Line> lines_of(const std::string &log) {
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

void require_lines(const std::string &log, const std::map<std::string, long> &expected) {
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
void must(hnorm_status status) {
    if (status != HNORM_OK) _exit(2);
}

class Tensor {
public:
    explicit Tensor(const std::vector<int64_t> &shape, int last = 0, hnorm_type type = HNORM_F32)
        : memory_(size(shape) * 2, 0.5f),
          tensor(hnorm_dense(memory_.data(), type, last, static_cast<int>(shape.size()), shape.data())) {
        fill(memory_, 7);
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

void forward(const std::vector<int64_t> &shape) {
    const Tensor x(shape), y(shape);
    must(hnorm_forward(&x.tensor, HNORM_BATCH, nullptr, 1e-5, nullptr, &y.tensor, nullptr, nullptr));
}

}  // namespace

TEST_CASE("a log has a line for each distinct call, with their number") {
    const Folder folder;
    const std::string said = child_says(folder, folder / "log", [] {
        for (int i = 0; i < 3; i++) forward({2, 3, 4, 5});
        forward({2, 3, 20});
        const Tensor x({4, 6, 3, 3}, 1, HNORM_F16), y({4, 6, 3, 3}, 1, HNORM_F16), more({4, 6, 3, 3}, 1, HNORM_F16);
        const hnorm_post_ops add_relu{sizeof add_relu, HNORM_RELU, 0, &more.tensor};
        must(hnorm_forward(&x.tensor, hnorm_groups(2), nullptr, 1e-5, &add_relu, &y.tensor, nullptr, nullptr));
        const hnorm_post_ops add{sizeof add, HNORM_NO_ACTIVATION, 0, &more.tensor};
        must(hnorm_forward(&x.tensor, hnorm_groups(6), nullptr, 1e-5, &add, &y.tensor, nullptr, nullptr));
        const std::vector<double> mean(24, 0.0), variance(24, 1.0);
        const hnorm_post_ops leaky{sizeof leaky, HNORM_LEAKY_RELU, 0.25f, nullptr};
        must(
            hnorm_normalize(&x.tensor, HNORM_INSTANCE, mean.data(), variance.data(), nullptr, 1e-5, &leaky, &x.tensor));
        must(hnorm_normalize_backward(nullptr, &x.tensor, HNORM_BATCH, mean.data(), variance.data(), nullptr, 1e-5,
                                      nullptr, &y.tensor, nullptr, nullptr));
        must(hnorm_activation_backward(&x.tensor, &y.tensor, HNORM_RELU, 0, &more.tensor));
    });
    REQUIRE(said.empty());
    const std::string f16 = " channels_last f16";
    require_lines(folder / "log", {{"2x3x4x5 forward batch channels_first f32", 3},
                                   {"2x3x20 forward batch channels_first f32", 1},
                                   {"4x6x3x3 forward_add_relu groups2" + f16, 1},
                                   {"4x6x3x3 forward_add instance" + f16, 1},
                                   {"4x6x3x3 normalize_relu instance" + f16 + ", in place", 1},
                                   {"4x6x3x3 normalize_backward batch" + f16, 1},
                                   {"4x6x3x3 activation_backward batch" + f16, 1}});
    REQUIRE(folder.files() == std::vector<std::string>{"log"});
}

TEST_CASE("a layer's calls are in the log, once each, and refused and empty calls are not") {
    const Folder folder;
    child_says(folder, folder / "log", [] {
        const Tensor x({4, 3, 5, 5}), y({4, 3, 5, 5}), dy({4, 3, 5, 5}), dx({4, 3, 5, 5});
        const hnorm_layer_options options = hnorm_layer_defaults(HNORM_BATCH);
        hnorm_layer *layer = nullptr;
        must(hnorm_layer_create(3, &options, &layer));
        must(hnorm_layer_forward(layer, &x.tensor, &y.tensor));
        must(hnorm_layer_backward(layer, &x.tensor, &dy.tensor, &dx.tensor));
        must(hnorm_layer_train(layer, 0));
        must(hnorm_layer_forward(layer, &x.tensor, &y.tensor));
        if (hnorm_layer_forward(layer, &x.tensor, nullptr) == HNORM_OK) _exit(3);
        const Tensor none({0, 3, 5, 5});
        must(hnorm_layer_forward(layer, &none.tensor, &none.tensor));
        hnorm_layer_destroy(layer);
    });
    require_lines(folder / "log", {{"4x3x5x5 forward batch channels_first f32", 1},
                                   {"4x3x5x5 backward batch channels_first f32", 1},
                                   {"4x3x5x5 normalize batch channels_first f32", 1}});
}

TEST_CASE("a program's name with several lines is one line of the log") {
    const Folder folder;
    child_says(folder, folder / "log", [] {
        static char name[] = "two\nlines";
        program_invocation_short_name = name;
        forward({2, 3, 4});
        forward({2, 3, 5});
    });
    require_lines(folder / "log",
                  {{"2x3x4 forward batch channels_first f32", 1}, {"2x3x5 forward batch channels_first f32", 1}});
    REQUIRE(text_of(folder / "log").find("# The calls of two?lines, process ") == 0);
}

TEST_CASE("tensors with gaps in memory have lines of their own") {
    const Folder folder;
    child_says(folder, folder / "log", [] {
        const Tensor y({2, 3, 4});
        Tensor x({2, 6, 4});
        x.tensor.shape[1] = 3;  // every sample's first half
        must(hnorm_forward(&x.tensor, HNORM_BATCH, nullptr, 1e-5, nullptr, &y.tensor, nullptr, nullptr));
        forward({2, 3, 4});
    });
    require_lines(folder / "log", {{"2x3x4 forward batch channels_first f32, with gaps in memory", 1},
                                   {"2x3x4 forward batch channels_first f32", 1}});
}

TEST_CASE("threads count together") {
    const Folder folder;
    child_says(folder, folder / "log", [] {
        hnorm_set_num_threads(1);
        std::vector<std::thread> threads;
        for (int t = 0; t < 4; t++)
            threads.emplace_back([] {
                for (int64_t i = 0; i < 300; i++) forward({2, 3, 2 + i % 10});
            });
        for (std::thread &thread : threads) thread.join();
    });
    std::map<std::string, long> expected;
    for (int i = 2; i <= 11; i++) expected["2x3x" + std::to_string(i) + " forward batch channels_first f32"] = 120;
    require_lines(folder / "log", expected);
}

TEST_CASE("more kinds of calls than there are lines are counted in one") {
    constexpr long kKinds = 5000;
    const Folder folder;
    child_says(folder, folder / "log", [] {
        hnorm_set_num_threads(1);
        for (int64_t i = 1; i <= kKinds; i++) forward({2, 1, i});
    });
    const std::map<std::string, Line> lines = lines_of(folder / "log");
    REQUIRE((lines.size() > 3000 && lines.size() < kKinds));
    const std::string rest = "# Of more kinds than a log has lines: ", text = text_of(folder / "log");
    REQUIRE(text.find(rest) != std::string::npos);
    REQUIRE(std::stol(text.substr(text.find(rest) + rest.size())) == kKinds - static_cast<long>(lines.size()));
}

TEST_CASE("a child of fork() counts its own calls, in a file of its own") {
    const auto calls = [] {
        forward({2, 3, 4});
        if (fork() == 0) {
            forward({2, 3, 5});
            exit(0);
        }
        int status = -1;
        wait(&status);
        if (status != 0) _exit(4);
    };
    const Folder apart;
    REQUIRE(child_says(apart, apart / "log_%p", calls).empty());
    const std::vector<std::string> files = apart.files();
    REQUIRE(files.size() == 2);
    const auto first = lines_of(apart / files[0]), second = lines_of(apart / files[1]);
    REQUIRE((first.size() == 1 && second.size() == 1));
    REQUIRE(first.begin()->first != second.begin()->first);

    const Folder together;
    const std::string said = child_says(together, together / "log", calls);
    INFO(said);
    REQUIRE(said.find("%p") != std::string::npos);
    REQUIRE(std::count(said.begin(), said.end(), '\n') == 1);
    require_lines(together / "log", {{"2x3x4 forward batch channels_first f32", 1}});
}

TEST_CASE("a log takes the old one's place as the program ends, in the folder of its first call") {
    const Folder folder;
    std::ofstream(folder / "log") << "old\n";
    fs::create_directory(folder / "elsewhere");
    child_says(folder, "log", [&] {
        if (chdir((folder / "").c_str()) != 0) _exit(5);
        forward({2, 3, 4});
        std::ofstream(folder / ("log." + std::to_string(getpid()) + ".0")) << "somebody's\n";
        if (text_of(folder / "log") != "old\n" || chdir("elsewhere") != 0) _exit(6);
    });
    require_lines(folder / "log", {{"2x3x4 forward batch channels_first f32", 1}});
    const std::vector<std::string> files = folder.files();
    REQUIRE(files.size() == 3);
    REQUIRE(text_of(folder / files[2]) == "somebody's\n");
    REQUIRE(fs::is_empty(folder / "elsewhere"));
}

TEST_CASE("a log that cannot be written is one line on the standard error, and no failure of a call") {
    const Folder folder;
    fs::create_directory(folder / "vanishes");
    const struct {
        std::string log, reason;
    } cases[] = {{folder / "none/log", "No such file or directory"},
                 {folder / "", "Is a directory"},
                 {folder / std::string(5000, 'n'), "File name too long"},
                 {"/dev/full", "No space left on device"},
                 {folder / "vanishes/log", "No such file or directory"}};
    for (const auto &c : cases) {
        INFO(c.log);
        const std::string said = child_says(folder, c.log, [&] {
            for (int i = 0; i < 2; i++) forward({2, 3, 4});
            fs::remove(folder / "vanishes");
        });
        INFO(said);
        REQUIRE(said.find("hnorm: HNORM_LOG is \"" + c.log) == 0);
        REQUIRE(said.find(c.reason) != std::string::npos);
        REQUIRE(std::count(said.begin(), said.end(), '\n') == 1);
        REQUIRE(folder.files().empty());
        fs::create_directory(folder / "vanishes");
        fs::remove(folder / "vanishes");
    }
}

TEST_CASE("a log to a pipe is what its reader gets, and without one the program ends too") {
    const Folder folder;
    const std::string fifo = folder / "fifo";
    REQUIRE(mkfifo(fifo.c_str(), 0600) == 0);
    const std::string said = child_says(folder, fifo, [] { forward({2, 3, 4}); });
    REQUIRE(said == "hnorm: HNORM_LOG is \"" + fifo + "\": the log cannot be written: No such device or address\n");
    const int reader = open(fifo.c_str(), O_RDONLY | O_NONBLOCK);
    REQUIRE(reader >= 0);
    REQUIRE(child_says(folder, fifo, [] { forward({2, 3, 4}); }).empty());
    char text[4096] = "";
    REQUIRE(read(reader, text, sizeof text - 1) > 0);
    close(reader);
    REQUIRE(std::string(text).find("\n2x3x4 ") != std::string::npos);
}

TEST_CASE("without the variable, and without a call, there is no log") {
    const Folder folder;
    REQUIRE(child_says(folder, "", [] { forward({2, 3, 4}); }).empty());
    REQUIRE(child_says(folder, folder / "log", [] {}).empty());
    REQUIRE(folder.files().empty());
}
