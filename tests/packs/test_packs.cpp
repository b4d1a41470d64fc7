// test_packs CASE PACK: packs in a program that is linked already, which are taken, which are
// refused, and which one runs.
#include "packs.h"

#include <hnorm/wisdom.h>

#include <dlfcn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <string>

#ifdef HNORM_WITH_ARCHIVE
extern "C" const char hnorm_kernels_digest[];
#endif

using namespace packs;

namespace {

void require_refused(const std::string &path, hnorm_status status, const std::string &why) {
    const std::string before = hnorm_pack();
    const hnorm_status found = hnorm_load_pack(path.c_str());
    require(found == status, path + ": the status is " + hnorm_status_name(found));
    require(contains(hnorm_last_error(), "hnorm_load_pack: path is \"" + path) && contains(hnorm_last_error(), why),
            "the message does not say: " + why);
    require(hnorm_pack() == before, "another pack is in use");
}

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

const Cases kCases = {
    {"runs", runs},
    {"comes_back", comes_back},
    {"another_build", another_build},
    {"another_cpu", another_cpu},
    {"another_import", another_import},
    {"damaged", damaged},
    {"replaced", replaced},
    {"copies", copies},
    {"wisdom", wisdom},
};

}  // namespace

int main(int argc, char **argv) { return run_case("test_packs", kCases, argc, argv); }
