// Wisdom in a bad world: files of every kind, memory that runs out, threads that learn and forget
// at once, forks, and processes that end. Whatever happens, calls compute what they compute without
// it.
#include <malloc.h>  // before what replaces its functions

#include "failing_memory.h"
#include "wisdom_files.h"

#include <hnorm/context.h>

#include <pthread.h>
#include <sys/wait.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <random>
#include <thread>

using namespace api;
using test::Folder;
using test::in_child;

namespace {

const std::string kAll = "*/*/*/*/* threads=1 block_elements=4096\n";

// A small call, which needs no memory.
struct SmallCall {
    float x[24], y[24];
    double mean[3], variance[3];

    SmallCall() {
        for (int i = 0; i < 24; i++) x[i] = static_cast<float>(i * i % 7);
    }
    hnorm_status run() {
        const int64_t shape[] = {2, 3, 4};
        const hnorm_tensor in = hnorm_channels_first(x, 3, shape), out = hnorm_channels_first(y, 3, shape);
        return hnorm_forward(&in, HNORM_BATCH, nullptr, 1e-5, nullptr, &out, mean, variance);
    }
};

// The bits of its results, or why it failed.
std::string small_call() {
    SmallCall call;
    if (call.run() != HNORM_OK) return hnorm_last_error();
    return std::string(reinterpret_cast<char *>(call.y), sizeof call.y) +
           std::string(reinterpret_cast<char *>(call.mean), sizeof call.mean);
}
// The same without wisdom.
const std::string &expected_of_small_call() {
    static const std::string expected = in_child({}, small_call);
    REQUIRE(expected.size() == sizeof SmallCall::y + sizeof SmallCall::mean);
    return expected;
}

size_t open_files() {
    const std::filesystem::directory_iterator entries("/proc/self/fd");
    return static_cast<size_t>(std::distance(begin(entries), end(entries)));
}

// Files for which there are 1 and 20 notes.
std::string sections_of_others() {
    std::string text;
    for (int i = 0; i < 30; i++) text += "[machine]\ncpu = Z80-" + std::to_string(i) + "\n" + kAll;
    return text;
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

TEST_CASE("the first call of a thread with 64 KiB of stack reads wisdom") {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    WARN("SKIPPED: sanitizers' frames are larger");
#else
    const Folder folder;
    const std::string path = folder.write("w", kAll + "forward/*/*/*/* pack=none\n" + sections_of_others());
    const std::string found = in_child({{"HNORM_WISDOM", path}, {"HNORM_PACK", path}}, [] {
        pthread_attr_t small;
        pthread_t thread;
        static std::string computed;
        const auto call = [](void *) -> void * {
            computed = small_call();
            return nullptr;
        };
        pthread_attr_init(&small);
        pthread_attr_setstacksize(&small, 64 << 10);
        if (pthread_create(&thread, &small, call, nullptr) != 0 || pthread_join(thread, nullptr) != 0) _exit(1);
        return computed + (hnorm_wisdom_note_count() == 20 ? " and wisdom" : " without wisdom");
    });
    CHECK(found == expected_of_small_call() + " and wisdom");
#endif
}

TEST_CASE("files are learnt and forgotten by several threads at once, while others compute and read the notes") {
    const std::string expected = expected_of_small_call();
    const auto forward = [](Pair &pair) {
        return hnorm_forward(&pair.in, HNORM_BATCH, nullptr, 1e-5, nullptr, &pair.out, nullptr, nullptr) == HNORM_OK;
    };
    Pair first({2, 4, 100, 100});
    REQUIRE(forward(first));
    const std::vector<char> large = first.y.bytes();
    const Folder folder;
    const std::string files[] = {folder.write("a", kAll), folder.write("b", sections_of_others())};
    std::atomic<bool> end{false};
    std::atomic<int> wrong{0}, notes{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 2; i++) {
        threads.emplace_back([&] {
            while (!end) {
                Pair pair({2, 4, 100, 100});  // which hnorm's threads share
                wrong += small_call() != expected || !forward(pair) || !same_bits(pair.y.bytes(), large);
            }
        });
        threads.emplace_back([&] {
            while (!end)
                for (int note = 0; note < 20; note++) {
                    const char *const text = hnorm_wisdom_note(note);
                    notes += text != nullptr;
                    wrong += text && std::string(text).find(folder.path()) != 0;
                }
        });
    }
    std::vector<std::thread> learners;
    for (const std::string &file : files)
        learners.emplace_back([&] {
            for (int i = 0; i < 300; i++) {
                wrong += hnorm_load_wisdom(file.c_str()) != HNORM_OK;
                if (i % 3 == 0) hnorm_forget_wisdom();
            }
        });
    for (std::thread &thread : learners) thread.join();
    while (notes == 0) {
        REQUIRE(hnorm_load_wisdom(files[1].c_str()) == HNORM_OK);
        std::this_thread::yield();
    }
    end = true;
    for (std::thread &thread : threads) thread.join();
    CHECK(wrong == 0);
    hnorm_forget_wisdom();
    CHECK(hnorm_wisdom_note_count() == 0);
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

#if !defined(__SANITIZE_THREAD__)  // which knows no fork beside threads

namespace {

// Of a child: what ends last takes its time.
bool lingers = false;
__attribute__((destructor(101))) void linger() {
    if (lingers) std::this_thread::sleep_for(std::chrono::milliseconds(3));
}

}  // namespace

TEST_CASE("a process may end while its threads obey wisdom") {
    const Folder folder;
    // Two threads look up a row, and two look through many patterns.
    std::string text = kAll;
    for (int i = 1; i <= 4000; i++) text += "backward/*/*/*/" + std::to_string(i) + "x2x2\n";
    const std::string path =
        folder.write("w", text + "[machine]\nthreads = 2\nforward/batch/channels_first/f32/2x3x4 threads=1\n");
    void (*const ends[])(int) = {std::exit, std::quick_exit, _exit};
    for (int round = 0; round < 90; round++) {
        std::fflush(nullptr);
        const pid_t child = fork();
        if (child == 0) {
            alarm(60);
            lingers = true;
#if !defined(__SANITIZE_ADDRESS__)
            mallopt(M_MMAP_THRESHOLD, 64 << 10);  // what is freed cannot be read any more
#endif
            static std::atomic<int> computing{0};
            if (hnorm_load_wisdom(path.c_str()) != HNORM_OK) _exit(1);
            for (int i = 0; i < 4; i++)
                std::thread([i] {
                    hnorm_context *context = nullptr;
                    if (hnorm_context_create(&context) != HNORM_OK) _exit(2);
                    hnorm_context_set_num_threads(context, 1 + i % 2);
                    hnorm_use_context(context);
                    for (computing++;;) small_call();
                }).detach();
            while (computing < 4) std::this_thread::yield();
            std::this_thread::sleep_for(std::chrono::microseconds(20 * round));
            ends[round % 3](7);
        }
        int status = -1;
        REQUIRE(child > 0);
        REQUIRE(waitpid(child, &status, 0) == child);
        INFO("round " << round << ", status " << status);
        REQUIRE((WIFEXITED(status) && WEXITSTATUS(status) == 7));
    }
}

TEST_CASE("a child that is forked while others learn learns and computes") {
    const std::string expected = expected_of_small_call();
    const Folder folder;
    const std::string paths[] = {folder.write("a", kAll), folder.write("b", sections_of_others())};
    std::atomic<bool> end{false};
    std::vector<std::thread> threads;
    for (const std::string &path : paths)
        threads.emplace_back([&] {
            while (!end) {
                hnorm_load_wisdom(path.c_str());
                hnorm_forget_wisdom();
            }
        });
    int wrong = 0;
    for (int i = 0; i < 100; i++) {
        const pid_t child = fork();
        if (child == 0) {
            alarm(60);
            const bool learns = hnorm_load_wisdom(paths[0].c_str()) == HNORM_OK && hnorm_wisdom_note_count() > 0;
            _exit(learns && small_call() == expected ? 0 : 1);
        }
        int status = -1;
        wrong += child < 0 || waitpid(child, &status, 0) != child || status != 0;
    }
    end = true;
    for (std::thread &thread : threads) thread.join();
    CHECK(wrong == 0);
    hnorm_forget_wisdom();
}

#endif
