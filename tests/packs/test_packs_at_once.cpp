// test_packs_at_once CASE PACK: packs in a program that is linked already, loaded while other
// threads compute or load, and beside fork.
#include "packs.h"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <exception>
#include <string>
#include <thread>
#include <vector>

using namespace packs;

namespace {

void child(const std::string &pack, const Bits &expected) {
    require(hnorm_load_pack(pack.c_str()) == HNORM_OK, "the pack is not loaded");
    const pid_t process = fork();
    if (process == 0) {
        bool runs = false;
        try {
            runs = runs_in_pack(expected);
        } catch (const std::exception &) {
        }
        _exit(runs ? 0 : 1);
    }
    int status = -1;
    require(waitpid(process, &status, 0) == process && WIFEXITED(status) && WEXITSTATUS(status) == 0,
            "the child does not run it");
}

void threads(const std::string &pack, const Bits &expected) {
    std::atomic<bool> ends{false}, same{true};
    std::vector<std::thread> others;
    for (int i = 0; i < 2; i++)
        others.emplace_back([&] {
            while (!ends) same = same && compute() == expected;
        });
    bool loads = true;
    for (int i = 0; i < 50; i++)
        loads = loads && hnorm_load_pack(pack.c_str()) == HNORM_OK && hnorm_load_pack(nullptr) == HNORM_OK;
    ends = true;
    for (std::thread &other : others) other.join();
    require(loads, "the pack is not loaded");
    require(same, "the bits have changed");
}

// While it lives, two threads load two packs and give them back.
class Loaders {
public:
    explicit Loaders(const std::vector<std::string> &packs) {
        for (const std::string &pack : packs)
            threads_.emplace_back([this, pack] {
                while (!ends_) load_ = load_ && hnorm_load_pack(pack.c_str()) == HNORM_OK && !hnorm_load_pack(nullptr);
            });
    }
    ~Loaders() { end(); }
    // Whether all could be loaded.
    bool end() {
        ends_ = true;
        for (std::thread &thread : threads_)
            if (thread.joinable()) thread.join();
        return load_;
    }

private:
    std::atomic<bool> ends_{false}, load_{true};
    std::vector<std::thread> threads_;
};

void at_once(const std::string &pack, const Bits &expected) {
    Folder folder;
    const std::string other = other_file(pack, folder("other"));
    Loaders loaders({pack, other});
    bool same = true, said = true;
    const std::string what = "): 6 kernels of x86-64-sse41";
    for (int i = 0; i < 20; i++) {
        same = same && compute() == expected;
        for (int k = 0; k < 10000; k++) {
            const std::string note = hnorm_pack();
            said =
                said && (note.empty() || note == "pack test (" + pack + what || note == "pack test (" + other + what);
        }
    }
    require(loaders.end(), "a pack is not loaded");
    require(same, "the bits have changed");
    require(said, "hnorm_pack says what no pack is");
}

void forks(const std::string &pack, const Bits &expected) {
    Folder folder;
    Loaders loaders({pack, other_file(pack, folder("other"))});
    int wrong = 0;
    for (int i = 0; i < 200; i++) {
        const pid_t process = fork();
        if (process == 0) {
            alarm(20);
            _exit(hnorm_load_pack(pack.c_str()) == HNORM_OK && compute() == expected ? 0 : 1);
        }
        int status = -1;
        wrong += waitpid(process, &status, 0) != process || status != 0;
    }
    require(loaders.end(), "a pack is not loaded");
    require(wrong == 0, std::to_string(wrong) + " of 200 children do not load and compute");
}

const Cases kCases = {
    {"at_once", at_once},
    {"child", child},
    {"forks", forks},
    {"threads", threads},
};

}  // namespace

int main(int argc, char **argv) { return run_case("test_packs_at_once", kCases, argc, argv); }
