// test_packs CASE PACK: packs in a program that is linked already. A case is a process of its own,
// since a pack stays loaded.
#include <hnorm/hnorm.h>
#include <hnorm/wisdom.h>

#include <dlfcn.h>
#include <execinfo.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#ifdef HNORM_WITH_ARCHIVE
extern "C" const char hnorm_kernels_digest[];
#endif

namespace {

void require(bool holds, const std::string &what) {
    if (!holds) throw std::runtime_error(what + "; the last error is: " + hnorm_last_error());
}
bool contains(const std::string &text, const std::string &part) { return text.find(part) != std::string::npos; }

// ---- which code runs

bool of_pack(const void *address) {
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
        uint64_t begin = 0, end = 0;
        if (contains(line, "hnorm-pack-") && std::sscanf(line.c_str(), "%lx-%lx", &begin, &end) == 2 &&
            begin <= reinterpret_cast<uint64_t>(address) && reinterpret_cast<uint64_t>(address) < end)
            return true;
    }
    return false;
}

bool pack_ran = false;
void parallel_for(void *, int count, hnorm_task task, void *argument) {
    void *frames[64];
    const int depth = backtrace(frames, 64);
    for (int i = 0; i < depth; i++) pack_ran = pack_ran || of_pack(frames[i]);
    for (int i = 0; i < count; i++) task(argument, i);
}

// ---- what is computed: forward and backward of planes that the pack has kernels for; of one
// group, which threads share inside the kernels

using Bits = std::vector<uint32_t>;
Bits compute() {
    const int64_t shape[4] = {2, 1, 300, 501};
    const size_t size = 2 * 300 * 501;
    std::vector<float> x(size), y(size), dy(size), dx(size);
    for (size_t i = 0; i < size; i++) {
        x[i] = static_cast<float>((i * 2654435761u >> 8) % 10007) / 97 - 30;
        dy[i] = static_cast<float>((i * 40503u >> 4) % 1009) / 31 - 15;
    }
    const hnorm_tensor tensors[] = {hnorm_channels_first(x.data(), 4, shape), hnorm_channels_first(y.data(), 4, shape),
                                    hnorm_channels_first(dy.data(), 4, shape),
                                    hnorm_channels_first(dx.data(), 4, shape)};
    double mean, variance;
    require(
        hnorm_forward(&tensors[0], HNORM_BATCH, nullptr, 1e-5, nullptr, &tensors[1], &mean, &variance) == HNORM_OK &&
            hnorm_backward(&tensors[0], &tensors[2], HNORM_BATCH, &mean, &variance, nullptr, 1e-5, nullptr, &tensors[3],
                           nullptr, nullptr) == HNORM_OK,
        "computing fails");
    Bits bits(2 * size);
    std::memcpy(bits.data(), y.data(), size * sizeof(float));
    std::memcpy(bits.data() + size, dx.data(), size * sizeof(float));
    return bits;
}

// Whether the pack's code runs; the bits are what they are without it.
bool runs_in_pack(const Bits &expected) {
    pack_ran = false;
    hnorm_set_parallel_for(parallel_for, nullptr);
    const bool same = compute() == expected;
    hnorm_set_parallel_for(nullptr, nullptr);
    require(same, "the bits have changed");
    return pack_ran;
}

// ---- files

std::string read(const std::string &path) {
    std::ifstream in(path, std::ios::binary);
    return std::string((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
}

constexpr size_t kLastLine = 47;

// Writes a pack with a checksum that holds.
void write_pack(const std::string &path, std::string contents) {
    uint64_t hash = 0xcbf29ce484222325;
    for (size_t i = 0; i + kLastLine < contents.size(); i++)
        hash = (hash ^ static_cast<unsigned char>(contents[i])) * 0x100000001b3;
    char digits[17];
    std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(hash));
    contents.replace(contents.size() - 17, 16, digits);
    std::ofstream(path, std::ios::binary) << contents;
}

std::string with(std::string contents, const std::string &from, const std::string &to) {
    require(from.size() == to.size() && contains(contents, from), "the pack has no " + from);
    for (size_t at = 0; (at = contents.find(from, at)) != std::string::npos; at += to.size())
        contents.replace(at, from.size(), to);
    return contents;
}

// Another file of the same kernels.
std::string other_file(const std::string &pack, const std::string &path) {
    const std::string contents = read(pack), id = contents.substr(contents.size() - 34, 16);
    write_pack(path, with(contents, id, "fedcba9876543210"));
    return path;
}

// A file's path in a folder of the process's own.
class Folder {
public:
    Folder() {
        char name[] = "packs_XXXXXX";
        require(mkdtemp(name) != nullptr, "no folder can be made here");
        folder_ = name;
    }
    ~Folder() {
        for (const std::string &file : files_) std::remove(file.c_str());
        rmdir(folder_.c_str());
    }
    const std::string &operator()(const std::string &name) {
        files_.push_back(folder_ + "/hnorm-pack-" + name + ".so");
        return files_.back();
    }
    const std::string &path() const { return folder_; }

private:
    std::string folder_;
    std::vector<std::string> files_;
};

void require_refused(const std::string &path, hnorm_status status, const std::string &why) {
    const std::string before = hnorm_pack();
    const hnorm_status found = hnorm_load_pack(path.c_str());
    require(found == status, path + ": the status is " + hnorm_status_name(found));
    require(contains(hnorm_last_error(), "hnorm_load_pack: path is \"" + path) && contains(hnorm_last_error(), why),
            "the message does not say: " + why);
    require(hnorm_pack() == before, "another pack is in use");
}

// ---- cases

void runs(const std::string &pack, const Bits &expected) {
    if (std::getenv("HNORM_PACK") == nullptr) {
        require(!runs_in_pack(expected), "a pack runs that is not loaded");
        require(hnorm_load_pack(pack.c_str()) == HNORM_OK, "the pack is not loaded");
    }
    require(contains(hnorm_pack(), "pack test (") && contains(hnorm_pack(), "6 kernels of x86-64-sse41"),
            std::string("hnorm_pack says ") + hnorm_pack());
    require(runs_in_pack(expected), "the pack's kernels do not run");
    for (int i = 0; i < hnorm_target_count(); i++) {
        const std::string name = hnorm_target_name(i);
        if (hnorm_target_unusable(i) || name == "x86-64-sse41") continue;
        require(hnorm_set_target(name.c_str()) == HNORM_OK && !runs_in_pack(expected), "the pack runs for " + name);
    }
}

void comes_back(const std::string &pack, const Bits &expected) {
    for (const char *nothing : {static_cast<const char *>(nullptr), ""}) {
        require(hnorm_load_pack(pack.c_str()) == HNORM_OK && runs_in_pack(expected), "the pack's kernels do not run");
        require(hnorm_load_pack(nothing) == HNORM_OK && !runs_in_pack(expected), "the pack's kernels still run");
        require(std::string(hnorm_pack()).empty(), "hnorm_pack still names it");
    }
}

void another_build(const std::string &pack, const Bits &) {
#ifdef HNORM_WITH_ARCHIVE
    Folder folder;
    const std::string other = folder("other");
    write_pack(other, with(read(pack), hnorm_kernels_digest, "0123456789abcdef"));
    const std::string why =
        std::string("another build: its kernels are 0123456789abcdef, this library's ") + hnorm_kernels_digest;
    setenv("HNORM_PACK", other.c_str(), 1);
    const Bits expected = compute();  // the first call reads the environment
    require(hnorm_pack() == "pack " + other + " is ignored: it is of " + why, hnorm_pack());
    require(!runs_in_pack(expected), "its kernels run");
    require_refused(other, HNORM_UNSUPPORTED, why);
#else
    (void)pack;
#endif
}

void another_cpu(const std::string &pack, const Bits &expected) {
    Folder folder;
    const std::string other = folder("cpu");
    write_pack(other, with(read(pack), std::string("\0sse4_1\0", 8), std::string("\0avx999\0", 8)));
    require_refused(other, HNORM_UNSUPPORTED, "it is for target x86-64-sse41: this library cannot tell");
    write_pack(other + "2", with(read(pack), "x86-64-sse41", "x86-64-sse99"));
    require_refused(other + "2", HNORM_UNSUPPORTED, "it is for target x86-64-sse99, which this library has not");
    std::remove((other + "2").c_str());
    require(!runs_in_pack(expected), "its kernels run");
}

void another_import(const std::string &pack, const Bits &expected) {
    Folder folder;
    const std::string other = folder("import");
    write_pack(other, with(read(pack), "halide_do_par_for", "halide_do_par_fox"));
    require_refused(other, HNORM_UNSUPPORTED, "its kernels call halide_do_par_fox, which this library does not give");
    require(!runs_in_pack(expected), "its kernels run");
}

void damaged(const std::string &pack, const Bits &expected) {
    Folder folder;
    const std::string whole = read(pack), no_pack = "it is no pack of hnorm, or not whole";
    require(hnorm_load_pack(pack.c_str()) == HNORM_OK, "the pack is not loaded");
    for (const size_t at : {size_t(0), size_t(5), size_t(40), whole.size() / 3, whole.size() - kLastLine - 1}) {
        std::string contents = whole;
        contents[at] = static_cast<char>(contents[at] ^ 16);
        const std::string path = folder("damaged" + std::to_string(at));
        std::ofstream(path, std::ios::binary) << contents;
        require_refused(path, HNORM_FILE_ERROR, "it is damaged: its checksum is not the one in its last line");
    }
    for (const size_t size : {size_t(0), size_t(1), kLastLine - 1, whole.size() / 2, whole.size() - 1}) {
        const std::string path = folder("cut" + std::to_string(size));
        std::ofstream(path, std::ios::binary) << whole.substr(0, size);
        require_refused(path, HNORM_FILE_ERROR, no_pack);
    }
    const std::string text = folder("text");
    std::ofstream(text) << "hnorm-pack 1 is what a text may begin with, and it may be as long as a pack's last line\n";
    require_refused(text, HNORM_FILE_ERROR, no_pack);
    const std::string empty = folder("empty");
    write_pack(empty, whole.substr(whole.size() - kLastLine));
    require_refused(empty, HNORM_UNSUPPORTED, "the system cannot load it: ");
    require_refused(folder.path(), HNORM_FILE_ERROR, "it is not a file");
    require_refused("/dev/null", HNORM_FILE_ERROR, "it is not a file");
    require_refused("there/is/none.so", HNORM_FILE_ERROR, "it cannot be opened");
    require(runs_in_pack(expected), "the pack that was loaded before is no longer in use");
}

void replaced(const std::string &pack, const Bits &expected) {
    Folder folder;
    const std::string path = folder("same");
    std::ofstream(path, std::ios::binary) << read(pack);
    require(hnorm_load_pack(path.c_str()) == HNORM_OK, "the pack is not loaded");
    require(hnorm_load_pack(path.c_str()) == HNORM_OK, "the pack is not loaded again");
    std::remove(path.c_str());
    other_file(pack, path);
    require_refused(path, HNORM_UNSUPPORTED, "this process has loaded another file of this name before");
    require(runs_in_pack(expected), "the first is no longer in use");
}

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

// Whether a child process ends by a fault where the code of packs may not run. (Wisdom does not
// hold for a caller's threads.)
bool needs_pack_code() {
    const pid_t process = fork();
    if (process == 0) {
        std::ifstream maps("/proc/self/maps");
        for (std::string line; std::getline(maps, line);) {
            uint64_t begin = 0, end = 0;
            if (contains(line, "hnorm-pack-") && contains(line, "r-xp") &&
                std::sscanf(line.c_str(), "%lx-%lx", &begin, &end) == 2)
                mprotect(reinterpret_cast<void *>(begin), end - begin, PROT_READ);
        }
        std::signal(SIGSEGV, SIG_DFL);
        compute();
        _exit(0);
    }
    int status = -1;
    require(waitpid(process, &status, 0) == process, "there is no child");
    require(WIFSIGNALED(status) || (WIFEXITED(status) && WEXITSTATUS(status) == 0), "the child ends in another way");
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
}

void wisdom(const std::string &pack, const Bits &expected) {
    Folder folder;
    std::ofstream(folder("named"), std::ios::binary) << read(pack);
    const std::string file = folder("wisdom");
    std::ofstream(file) << "normalize/*/*/*/* pack=named\nforward/batch/*/f32/2x1x300x501 pack=named\n";
    require(!needs_pack_code(), "a pack runs that nothing names");
    require(hnorm_load_wisdom(file.c_str()) == HNORM_OK, "the wisdom is not loaded");
    require(needs_pack_code() && compute() == expected, "the pack that wisdom names does not run");
    hnorm_forget_wisdom();
    require(!needs_pack_code(), "the pack still runs");
    const std::string bad = folder("bad");
    std::ofstream(bad) << "*/*/*/*/* pack=missing\n*/*/*/*/* pack=../x\n";
    require(hnorm_load_wisdom(bad.c_str()) == HNORM_OK && !needs_pack_code(), "a pack runs that is not there");
    const std::string note = hnorm_wisdom_note(hnorm_wisdom_note_count() - 1);
    require(contains(note, "line 1: 'pack=missing': it cannot be opened: the line is ignored (and 1 more)"), note);
}

// The program's copy of hnorm, and the shared library beside it.
void copies(const std::string &pack, const Bits &expected) {
#ifdef HNORM_WITH_ARCHIVE
    void *const other = dlopen(HNORM_SHARED, RTLD_NOW | RTLD_LOCAL);
    require(other != nullptr, "the shared library is not loaded");
    const auto load = reinterpret_cast<decltype(&hnorm_load_pack)>(dlsym(other, "hnorm_load_pack"));
    const auto say = reinterpret_cast<decltype(&hnorm_pack)>(dlsym(other, "hnorm_pack"));
    require(load && say && load != hnorm_load_pack, "the shared library has no functions of its own");
    require(load(pack.c_str()) == HNORM_OK && contains(say(), "pack test ("), "the other does not load the pack");
    require_refused(pack, HNORM_UNSUPPORTED, "another copy of hnorm in this process uses it");
    require(!runs_in_pack(expected), "the pack of the other runs");
    dlclose(other);
    require(dlopen(HNORM_SHARED, RTLD_NOW | RTLD_NOLOAD) == nullptr, "the shared library is not unloaded");
    require(hnorm_load_pack(pack.c_str()) == HNORM_OK && runs_in_pack(expected), "what the other left is not taken");
#else
    (void)pack;
    (void)expected;
#endif
}

const std::map<std::string, std::function<void(const std::string &, const Bits &)>> kCases = {
    {"runs", runs},
    {"comes_back", comes_back},
    {"another_build", another_build},
    {"at_once", at_once},
    {"another_cpu", another_cpu},
    {"another_import", another_import},
    {"damaged", damaged},
    {"replaced", replaced},
    {"child", child},
    {"copies", copies},
    {"forks", forks},
    {"threads", threads},
    {"wisdom", wisdom},
};

}  // namespace

int main(int argc, char **argv) {
    try {
        const auto found = argc == 3 ? kCases.find(argv[1]) : kCases.end();
        require(found != kCases.end(), "usage: test_packs CASE PACK");
        require(hnorm_set_target("x86-64-sse41") == HNORM_OK && hnorm_set_num_threads(2) == HNORM_OK, "no SSE4.1");
        // That of a pack in the environment, too: the bits are the same.
        found->second(argv[2], found->first == "another_build" ? Bits() : compute());
        return 0;
    } catch (const std::exception &problem) {
        std::fprintf(stderr, "test_packs: %s\n", problem.what());
        return 1;
    }
}
