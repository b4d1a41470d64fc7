// Wisdom in a bad world: files of every kind, and memory that runs out. Whatever happens, calls
// compute what they compute without it. (Threads and processes: test_wisdom_threads.cpp.)
#include <malloc.h>  // before what replaces its functions

#include "failing_memory.h"
#include "wisdom_calls.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <random>

using namespace api;
using namespace test;

namespace {

size_t open_files() {
    const std::filesystem::directory_iterator entries("/proc/self/fd");
    return static_cast<size_t>(std::distance(begin(entries), end(entries)));
}

}  // namespace

// In children that have read nothing: before the cases in which this process reads.

TEST_CASE("a file as large as is allowed is read, whatever its rows") {
    const std::string expected = expected_of_small_call();
    const Folder folder;
    std::string different, same;
    int64_t count = 0;
    for (; different.size() + 40 < (4 << 20); count++)
        different += "*/*/*/*/" + std::to_string(count / 1000 + 1) + "x" + std::to_string(count % 1000 + 1) + "x2\n";
    while (same.size() + 40 < (4 << 20)) same += "*/*/*/*/*\n";
    for (const std::string &text : {different, same}) {
        const std::string said = in_child({{"HNORM_WISDOM", folder.write("w", text)}},
                                          [&] { return small_call() == expected ? test::all_notes() : "other bits"; });
        const auto lines = std::count(text.begin(), text.end(), '\n');
        CHECK(said == folder.path("w") + ": " + std::to_string(lines) + " choices in use\n");
    }
}

TEST_CASE("memory that runs out in the very first call leaves the call, which computes") {
#if !defined(HNORM_FAILING_MEMORY)
    WARN("SKIPPED: the allocator is a sanitizer's");
#else
    const std::string expected = expected_of_small_call();
    const Folder folder;
    const std::string path = folder.write("w", kAll + "forward/*/*/*/* pack=none\n");
    for (const bool all : {false, true})
        for (long at = 0;; at++) {
            const std::string found = in_child({{"HNORM_WISDOM", path}, {"HNORM_PACK", path}}, [&] {
                SmallCall call;
                failing::all_after = all;
                failing::left_to_go = at;
                const hnorm_status status = call.run();
                failing::left_to_go = -1;
                if (status != HNORM_OK || small_call() != expected) return std::string(hnorm_last_error());
                return std::string(failing::failures > 0 ? "failed" : "none");
            });
            INFO("allocation " << at << (all ? " and all after it: " : ": ") << found);
            REQUIRE((found == "failed" || found == "none"));
            if (found == "none") break;
            REQUIRE(at < 1000);
        }
#endif
}

TEST_CASE("what is cut or changed anywhere is read or ignored, and calls compute") {
    const std::string expected = expected_of_small_call();
    const Folder folder;
    const std::string whole =
        "\xef\xbb\xbf# a comment\r\n[machine]\r\nbuild = " + std::string(hnorm_build()) + "\r\ncpu = " + hnorm_cpu() +
        "\r\nthreads = 2\r\n"
        "forward/batch/channels_first/f32/2x3x4 target=x86-64-sse41 threads=1  # 1.2\r\n"
        "*/groups3/channels_last/bf16/2x3x4x5x6 pack=none\nbackward_add_relu/*/*/*/* serial_below=0\n";
    std::mt19937 random(5);
    for (size_t i = 0; i < 2000; i++) {
        std::string text = i < whole.size() ? whole.substr(0, i) : whole;
        for (size_t changes = i < whole.size() ? 0 : 1 + random() % 4; changes > 0; changes--) {
            const size_t at = random() % text.size();
            switch (random() % 4) {
            case 0: text[at] = static_cast<char>(random()); break;
            case 1: text.insert(at, text, random() % text.size(), random() % 50); break;
            case 2: text.erase(at, random() % 20); break;
            default: text[at] = "\0\r\n\t /=*x#[]9-"[random() % 14];
            }
            if (text.empty()) text = "x";
        }
        INFO("file " << i << ": " << text);
        REQUIRE(hnorm_load_wisdom(folder.write("w", text).c_str()) == HNORM_OK);
        REQUIRE(small_call() == expected);
        for (int note = 0; note < hnorm_wisdom_note_count(); note++)
            for (const char *c = hnorm_wisdom_note(note); *c; c++) REQUIRE((*c >= ' ' && *c < 127));
        if (i % 10 == 0) hnorm_forget_wisdom();
    }
    hnorm_forget_wisdom();
}

TEST_CASE("names that are no files are refused with the reason") {
    const Folder folder;
    const auto refused = [](const std::string &path, const char *why) {
        require_refused(hnorm_load_wisdom(path.c_str()), HNORM_INVALID_ARGUMENT, {"hnorm_load_wisdom: path is", why});
    };
    const std::string loop = folder.path("loop"), file = folder.write("file", kAll), link = folder.path("link");
    REQUIRE(symlink(loop.c_str(), loop.c_str()) == 0);
    REQUIRE(symlink(file.c_str(), link.c_str()) == 0);
    const size_t files = open_files();
    refused(loop, "Too many levels of symbolic links");
    refused("", "No such file or directory");
    refused(folder.path(std::string(5000, 'n')), "File name too long");
    refused(file + "/below", "Not a directory");
    refused("/proc/self/mem", "Input/output error");
    refused("/dev/zero", "not a regular file");
    CHECK(hnorm_wisdom_note_count() == 0);
    CHECK(hnorm_load_wisdom(link.c_str()) == HNORM_OK);
    CHECK(open_files() == files);
    hnorm_forget_wisdom();
}

TEST_CASE("a file that is read again and again needs no more memory") {
    const Folder folder;
    const std::string path = folder.write("w", kAll + "forward/*/*/*/* threads=2\n" + sections_of_others());
    const auto load = [&](int times) {
        for (int i = 0; i < times; i++) REQUIRE(hnorm_load_wisdom(path.c_str()) == HNORM_OK);
        return static_cast<long>(mallinfo2().uordblks);
    };
    const long before = load(10);
    CHECK(load(1000) - before < 10000);
    CHECK(hnorm_wisdom_note_count() == 20);
    hnorm_forget_wisdom();
}

TEST_CASE("memory that runs out as a file is loaded is a status, and nothing is lost") {
#if !defined(HNORM_FAILING_MEMORY)
    WARN("SKIPPED: the allocator is a sanitizer's");
#else
    const std::string expected = expected_of_small_call();
    const Folder folder;
    const std::string path = folder.write("w", "forward/*/*/*/* pack=none\n" + kAll + sections_of_others());
    REQUIRE(hnorm_load_wisdom(path.c_str()) == HNORM_OK);
    const size_t files = open_files();
    const auto call = [&] {
        hnorm_forget_wisdom();
        return hnorm_load_wisdom(path.c_str());
    };
    failing::with_every_failure("hnorm_load_wisdom", call, [&](hnorm_status status, long kept) {
        REQUIRE((status == HNORM_OK || kept == 0));
        REQUIRE(hnorm_wisdom_note_count() == (status == HNORM_OK ? 20 : 0));
        REQUIRE(small_call() == expected);
    });
    REQUIRE(open_files() == files);
    hnorm_forget_wisdom();
#endif
}
