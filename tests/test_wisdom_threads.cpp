// Wisdom in a bad world: threads that learn and forget at once, small stacks, forks, and processes
// that end. Whatever happens, calls compute what they compute without it.
#include "wisdom_calls.h"

#include <hnorm/context.h>

#include <malloc.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

using namespace api;
using namespace test;

// In a child that has read nothing: before the cases in which this process reads.

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
