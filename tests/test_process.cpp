// What a program may do around hnorm's threads: signals, small stacks, fork, the end of the
// process.
#include "failing_threads.h"
#include "problems.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

using namespace api;
using namespace problems;

namespace {

const std::vector<int64_t> kShape = {8, 16, 32, 32};

bool forward(Pair &pair) {
    return hnorm_forward(&pair.in, HNORM_BATCH, nullptr, 1e-5, nullptr, &pair.out, nullptr, nullptr) == HNORM_OK;
}

bool forward_gives(const Elements &expected) {
    Pair pair(kShape);
    return forward(pair) && same_bits(pair.y, expected);
}

// The bits of one thread, without the pool.
const Elements &serial_bits() {
    static const Elements bits = [] {
        const int before = hnorm_get_num_threads();
        REQUIRE(hnorm_set_num_threads(1) == HNORM_OK);
        Pair pair(kShape);
        REQUIRE(forward(pair));
        REQUIRE(hnorm_set_num_threads(before) == HNORM_OK);
        return pair.y;
    }();
    return bits;
}

struct Settings {
    ~Settings() {
        threads_allowed = 1 << 30;
        hnorm_shutdown();
        hnorm_set_num_threads(0);
    }
};

std::vector<std::string> threads_of_process() {
    std::vector<std::string> found;
    for (const auto &entry : std::filesystem::directory_iterator("/proc/self/task")) found.push_back(entry.path());
    return found;
}

// A thread that was joined is in /proc for a moment yet.
bool one_thread_is_left() {
    for (int i = 0; i < 1000 && threads_of_process().size() > 1; i++)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return threads_of_process().size() == 1;
}

// The exit status of a child that runs `body`, which returns its own; 128 and more: ended by a
// signal.
int status_of_child(const std::function<int()> &body) {
    const pid_t child = fork();
    if (child == 0) {
        alarm(30);
        _exit(body());
    }
    int status = -1;
    REQUIRE(child > 0);
    REQUIRE(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::atomic<int> handled{0};

// Of a thread by its folder in /proc, a bit each.
unsigned long long blocked_signals(const std::string &thread) {
    std::ifstream file(thread + "/status");
    std::string line;
    while (std::getline(file, line) && line.find("SigBlk:") != 0) {
    }
    REQUIRE(line.find("SigBlk:") == 0);
    return std::stoull(line.substr(7), nullptr, 16);
}

}  // namespace

TEST_CASE("a signal that the program blocks is not handled on hnorm's threads") {
    const Settings restore;
    const Elements &expected = serial_bits();
    struct sigaction handler = {}, before = {};
    handler.sa_handler = [](int) { handled++; };
    REQUIRE(sigaction(SIGUSR1, &handler, &before) == 0);
    // The pool begins while the signal is open.
    REQUIRE(hnorm_set_num_threads(4) == HNORM_OK);
    REQUIRE(forward_gives(expected));
    sigset_t ours, old;
    sigemptyset(&ours);
    sigaddset(&ours, SIGUSR1);
    REQUIRE(pthread_sigmask(SIG_BLOCK, &ours, &old) == 0);
    REQUIRE(threads_of_process().size() == 4);
    REQUIRE(kill(getpid(), SIGUSR1) == 0);
    REQUIRE(forward_gives(expected));
    const struct timespec at_once = {0, 0};
    REQUIRE(sigtimedwait(&ours, nullptr, &at_once) == SIGUSR1);
    REQUIRE(handled == 0);
    // Nor any other, but those of faults: a thread that blocked them would die without the
    // program's handler.
    for (const std::string &thread : threads_of_process()) {
        if (thread == "/proc/self/task/" + std::to_string(getpid())) continue;
        unsigned long long blocked = 0;
        const auto is_blocked = [&](int number) { return (blocked >> (number - 1) & 1) != 0; };
        // The C library blocks all of a thread's signals until it has begun.
        for (int i = 0; i < 1000 && (i == 0 || is_blocked(SIGSEGV)); i++) {
            if (i > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
            blocked = blocked_signals(thread);
        }
        for (int number : {SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGALRM, SIGCHLD, SIGPIPE, SIGPROF})
            REQUIRE(is_blocked(number));
        for (int number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL}) REQUIRE_FALSE(is_blocked(number));
    }
    REQUIRE(pthread_sigmask(SIG_SETMASK, &old, nullptr) == 0);
    REQUIRE(sigaction(SIGUSR1, &before, nullptr) == 0);
}

TEST_CASE("threads that cannot begin are done without") {
    const Settings restore;
    const Elements &expected = serial_bits();
    for (int allowed : {0, 1, 3}) {
        INFO(allowed << " threads may begin");
        hnorm_shutdown();
        REQUIRE(hnorm_set_num_threads(7) == HNORM_OK);
        threads_allowed = allowed;
        threads_begun = 0;
        for (int i = 0; i < 3; i++) REQUIRE(forward_gives(expected));
        REQUIRE(threads_begun == allowed);
    }
    // Later they can.
    threads_allowed = 1 << 30;
    REQUIRE(forward_gives(expected));
    REQUIRE(threads_of_process().size() == 7);
}

TEST_CASE("hnorm_shutdown ends the threads, and the next call begins new ones") {
    const Settings restore;
    const Elements &expected = serial_bits();
    REQUIRE(hnorm_set_num_threads(5) == HNORM_OK);
    for (int i = 0; i < 20; i++) {
        REQUIRE(forward_gives(expected));
        REQUIRE(threads_of_process().size() == 5);
        hnorm_shutdown();
        REQUIRE(one_thread_is_left());
        hnorm_shutdown();
    }
}

TEST_CASE("hnorm_shutdown may be called while others compute") {
    const Settings restore;
    const Elements &expected = serial_bits();
    REQUIRE(hnorm_set_num_threads(3) == HNORM_OK);
    std::atomic<bool> stop{false};
    std::atomic<int> wrong{0}, calls{0};
    std::vector<std::thread> callers;
    for (int i = 0; i < 4; i++)
        callers.emplace_back([&] {
            while (!stop) {
                wrong += !forward_gives(expected);
                calls++;
            }
        });
    for (int i = 0; i < 200 || calls < 50; i++) {
        hnorm_shutdown();
        std::this_thread::yield();
    }
    stop = true;
    for (std::thread &caller : callers) caller.join();
    REQUIRE(wrong == 0);
}

TEST_CASE("threads without work sleep") {
    const Settings restore;
    const Elements &expected = serial_bits();
    REQUIRE(hnorm_set_num_threads(8) == HNORM_OK);
    REQUIRE(forward_gives(expected));
    const auto processor_time = [] {
        rusage used = {};
        getrusage(RUSAGE_SELF, &used);
        return static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
               1e-6 * static_cast<double>(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
    };
    const double before = processor_time();
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    REQUIRE(threads_of_process().size() == 8);
    REQUIRE(processor_time() - before < 0.1);  // seven that look for work all the time would use it up on one core
}

TEST_CASE("a child of fork has threads of its own") {
    const Settings restore;
    const Elements &expected = serial_bits();
    REQUIRE(hnorm_set_num_threads(4) == HNORM_OK);
    REQUIRE(forward_gives(expected));
    REQUIRE(status_of_child([&] {
                if (threads_of_process().size() != 1) return 1;
                if (!forward_gives(expected)) return 2;
                if (threads_of_process().size() != 4) return 3;
                hnorm_shutdown();
                return one_thread_is_left() ? 0 : 4;
            }) == 0);
    // The parent's are as before.
    REQUIRE(threads_of_process().size() == 4);
    REQUIRE(forward_gives(expected));
}

TEST_CASE("a child that is forked during the very first calls computes and ends") {
    for (int round = 0; round < 30; round++) {
        // A process whose first calls are those of eight threads, each of which forks beside the
        // others' calls.
        const int status = status_of_child([] {
            std::atomic<int> begun{0}, failed{0};
            std::vector<std::thread> callers;
            for (int i = 0; i < 8; i++)
                callers.emplace_back([&, i] {
                    for (++begun; begun < 8;) std::this_thread::yield();
                    Pair pair({2, 3, 4, 5});
                    if (i % 2) {
                        failed += !forward(pair);
                        return;
                    }
                    const pid_t child = fork();
                    if (child == 0) {
                        alarm(10);
                        _exit(forward(pair) ? 0 : 1);
                    }
                    int ended = -1;
                    failed += child < 0 || waitpid(child, &ended, 0) != child || ended != 0;
                });
            for (std::thread &caller : callers) caller.join();
            return failed.load();
        });
        INFO("round " << round);
        REQUIRE(status == 0);
    }
}

TEST_CASE("a process may end while its threads compute") {
    void (*const ends[])(int) = {std::exit, std::quick_exit, _exit};
    for (int round = 0; round < 90; round++) {
        const int status = status_of_child([&] {
            hnorm_set_num_threads(3);
            static std::atomic<int> computing{
                0};  // they have what they need of this program, which is about to destroy it
            for (int i = 0; i < 3; i++)
                std::thread([] {
                    Pair pair(kShape);
                    for (computing++;;) forward(pair);
                }).detach();
            while (computing < 3) std::this_thread::yield();
            std::this_thread::sleep_for(std::chrono::microseconds(20 * round));
            ends[round % 3](7);
            return 0;
        });
        INFO("round " << round);
        REQUIRE(status == 7);
    }
}

TEST_CASE("callers and hnorm's threads need 64 KiB of stack, whatever the number of threads") {
#if defined(__SANITIZE_ADDRESS__)
    WARN("SKIPPED: the address sanitizer's frames are larger");
#else
    const Settings restore;
    pthread_attr_t small;
    REQUIRE(pthread_attr_init(&small) == 0);
    REQUIRE(pthread_attr_setstacksize(&small, 64 << 10) == 0);
    for (const Given &given : kGiven) {
        struct Run {
            Calls calls;
            Results results;
            int threads;
        } run = {Calls(given), {}, 1};
        const Results expected = run.calls.run(1);
        for (int threads : {1, 2, 64}) {
            run.threads = threads;
            pthread_t id;
            REQUIRE(__real_pthread_create(
                        &id, &small,
                        [](void *argument) -> void * {
                            Run &run = *static_cast<Run *>(argument);
                            run.results = run.calls.run(run.threads);
                            return nullptr;
                        },
                        &run) == 0);
            REQUIRE(pthread_join(id, nullptr) == 0);
            REQUIRE(run.calls.status() == HNORM_OK);
            REQUIRE(run.results == expected);
        }
    }
    pthread_attr_destroy(&small);
#endif
}
