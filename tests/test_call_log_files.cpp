// HNORM_LOG: where a log is written, and what happens where it cannot be.
#include "call_logs.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

using namespace logs;

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
