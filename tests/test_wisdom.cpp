// Wisdom (hnorm/wisdom.h): which files are read, and what of them holds for which calls. A process
// reads its files once, at its first call: what depends on them runs in a child.
// (test_wisdom_bits.cpp: no choice changes a bit.)
#include "check_bits.h"
#include "wisdom_files.h"

#include <hnorm/context.h>

#include <sys/stat.h>

#include <functional>
#include <mutex>
#include <set>
#include <thread>

using namespace test;

namespace {

std::mutex mutex;
std::set<std::thread::id> threads_of_sse41;  // that ran its kernel of large planes' moments

}  // namespace

#if defined(HNORM_HAS_SSE41)
extern "C" {
int __real_hnorm_kernel_moments_large_f32_x86_64_sse41(halide_buffer_t *x, halide_buffer_t *center, halide_buffer_t *e,
                                                       halide_buffer_t *q);
int __wrap_hnorm_kernel_moments_large_f32_x86_64_sse41(halide_buffer_t *x, halide_buffer_t *center, halide_buffer_t *e,
                                                       halide_buffer_t *q) {
    {
        const std::lock_guard<std::mutex> lock(mutex);
        threads_of_sse41.insert(std::this_thread::get_id());
    }
    return __real_hnorm_kernel_moments_large_f32_x86_64_sse41(x, center, e, q);
}
}
#endif

namespace {

// A tensor of four groups, which threads share, and its moments.
constexpr char kRow[] = "moments/instance/channels_first/f32/2x2x200x200";
Statistics some_moments() {
    static const Tensor x = [] {
        Tensor tensor({2, 2, 200, 200});
        fill(tensor, {Kind::kNormal, 3, 1, 5});
        return tensor;
    }();
    return moments(x, HNORM_INSTANCE);
}

// "sse41 on N threads", by the kernels that ran in a call, or "other".
std::string kernels_of_call() {
    threads_of_sse41.clear();
    some_moments();
    const size_t count = threads_of_sse41.size();
    const bool only_here = count == 1 && threads_of_sse41.count(std::this_thread::get_id());
    return count == 0 ? "other" : only_here ? "sse41 here" : "sse41";
}
const std::string kLine = std::string(kRow) + " target=x86-64-sse41 threads=1\n";

std::string machine_section(const std::string &build, const std::string &cpu, const std::string &caches,
                            const std::string &threads) {
    return "[machine]\nbuild = " + build + "\ncpu = " + cpu + "\ncaches = " + caches + "\nthreads = " + threads +
           "\ndate = 2026-11-29\n";
}

// Whether the test can see which kernels run.
bool has_sse41() {
#if !defined(HNORM_HAS_SSE41)
    WARN("SKIPPED: the library has no kernels for SSE4.1");
    return false;
#endif
    for (const std::string &target : usable_targets())
        if (target == "x86-64-sse41") return true;
    return false;
}

}  // namespace

TEST_CASE("a choice holds for its row, and for no other", "[once]") {
    if (!has_sse41()) return;
    const Folder folder;
    const auto with = [&](const std::string &text) {
        return in_child({{"HNORM_WISDOM", folder.write("w.txt", text)}}, [] {
            hnorm_set_num_threads(3);
            return kernels_of_call();
        });
    };
    CHECK(with(kLine) == "sse41 here");
    CHECK(with(std::string(kRow) + " target=x86-64-sse41\n") != "other");
    // The spatial extents are one; "*" stands for all.
    CHECK(with("moments/instance/channels_first/f32/2x2x40000 target=x86-64-sse41") != "other");
    CHECK(with("*/*/*/*/* target=x86-64-sse41") != "other");
    CHECK(with("moments/*/*/f32/* target=x86-64-sse41") != "other");
    CHECK(with("*/instance/channels_first/f32/* target=x86-64-sse41") != "other");
    CHECK(with("moments/groups2/channels_first/f32/2x2x40000 target=x86-64-sse41") != "other");  // the same groups
    for (const char *row :
         {"forward/instance/channels_first/f32/2x2x200x200", "moments/batch/channels_first/f32/2x2x200x200",
          "moments/instance/channels_last/f32/2x2x200x200", "moments/instance/channels_first/f16/2x2x200x200",
          "moments/instance/channels_first/f32/2x2x200x201", "moments/groups1/channels_first/f32/2x2x200x200",
          "backward/*/*/*/*", "*/*/*/bf16/*"})
        CHECK(with(std::string(row) + " target=x86-64-sse41") == "other");
}

TEST_CASE("a section holds for its build, CPU, caches and number of threads, and others are ignored and said",
          "[once]") {
    if (!has_sse41()) return;
    const Folder folder;
    const std::string build = hnorm_build(), cpu = hnorm_cpu(), caches = hnorm_caches();
    const auto with = [&](const std::string &section, int threads = 3) {
        return in_child({{"HNORM_WISDOM", folder.write("w.txt", section + kLine)}}, [=] {
            hnorm_set_num_threads(threads);
            return kernels_of_call() + "; " + all_notes();
        });
    };
    const std::string path = folder.path("w.txt");
    const std::string fits = machine_section(build, cpu, caches, "3");
    CHECK(with(fits) == "sse41 here; " + path + ": 1 choice in use\n");
    CHECK(with(fits, 2) == "other; " + path + ": 1 choice in use\n");
    CHECK(with(machine_section("0.1.0-abc", cpu, caches, "3")) ==
          "other; " + path + ": 1 choice ignored: they are for the build '0.1.0-abc', this is '" + build + "'\n");
    CHECK(with(machine_section(build, "Z80", caches, "3")) ==
          "other; " + path + ": 1 choice ignored: they are for the CPU 'Z80', this is '" + cpu + "'\n");
    CHECK(with(machine_section(build, cpu, "1K", "3")) ==
          "other; " + path + ": 1 choice ignored: they are for the caches '1K', this is '" + caches + "'\n");
    // One file for several machines.
    CHECK(with(machine_section(build, "Z80", caches, "3") + kLine + fits) ==
          "sse41 here; " + path + ": 1 choice in use\n" + path +
              ": 1 choice ignored: they are for the CPU 'Z80', this is '" + cpu + "'\n");
}

TEST_CASE("what a program sets comes before wisdom", "[once]") {
    if (!has_sse41() || usable_targets().size() < 2) return;
    const Folder folder;
    const std::string best = usable_targets().front();
    const auto with = [&](const std::function<void()> &set,
                          const std::vector<std::pair<const char *, std::string>> &more = {}) {
        auto environment = more;
        environment.emplace_back("HNORM_WISDOM", folder.write("w.txt", kLine));
        return in_child(environment, [&] {
            hnorm_set_num_threads(3);
            set();
            return kernels_of_call();
        });
    };
    CHECK(with([] {}) == "sse41 here");
    CHECK(with([&] { hnorm_set_target(best.c_str()); }) == "other");
    CHECK(with([] { hnorm_set_target("x86-64-sse41"); }) == "sse41 here");
    CHECK(with([] {}, {{"HNORM_TARGET", best}}) == "other");
    CHECK(with([] {
              static const hnorm_parallel_for mine = [](void *, int count, hnorm_task task, void *argument) {
                  for (int i = 0; i < count; i++) task(argument, i);
              };
              hnorm_set_parallel_for(mine, nullptr);
          }) == "other");
    CHECK(with([] { hnorm_forget_wisdom(); }) == "other");
    CHECK(with([&] {
              hnorm_context *context = nullptr;
              hnorm_context_create(&context);
              hnorm_context_set_target(context, best.c_str());
              hnorm_use_context(context);
          }) == "other");
}

TEST_CASE("HNORM_WISDOM, else the user's file before the system's", "[once]") {
    const Folder folder;
    folder.write("user/hnorm/wisdom.txt", "*/*/*/*/* threads=1\n");
    folder.write("first/hnorm/wisdom.txt", "");
    folder.write("second/hnorm/wisdom.txt", "*/*/*/*/* threads=1\n*/*/*/*/* threads=2\n");
    const std::string mine = folder.write("mine.txt", "# nothing\n");
    const std::string dirs = folder.path("second") + ":" + folder.path("first");
    const std::string one = ": 1 choice in use\n", two = ": 2 choices in use\n", none = ": no choices\n";
    CHECK(in_child({}, all_notes) == "");
    CHECK(in_child({{"HOME", folder.path()}}, all_notes) == "");
    CHECK(in_child({{"XDG_CONFIG_HOME", folder.path("user")}}, all_notes) ==
          folder.path("user/hnorm/wisdom.txt") + one);
    CHECK(in_child({{"XDG_CONFIG_HOME", folder.path("user")}, {"XDG_CONFIG_DIRS", dirs}}, all_notes) ==
          folder.path("first/hnorm/wisdom.txt") + none + folder.path("second/hnorm/wisdom.txt") + two +
              folder.path("user/hnorm/wisdom.txt") + one);
    CHECK(in_child({{"XDG_CONFIG_HOME", folder.path("user")}, {"HNORM_WISDOM", mine}}, all_notes) == mine + none);
    folder.write(".config/hnorm/wisdom.txt", "");
    CHECK(in_child({{"HOME", folder.path()}}, all_notes) == folder.path("/.config/hnorm/wisdom.txt") + none);
}

TEST_CASE("what is read later comes first", "[once]") {
    if (!has_sse41() || usable_targets().size() < 2) return;
    const Folder folder;
    const std::string best = std::string(kRow) + " target=" + usable_targets().front() + "\n";
    const auto with = [&](const std::string &user, const std::string &system, const std::string &loaded) {
        folder.write("user/hnorm/wisdom.txt", user);
        folder.write("system/hnorm/wisdom.txt", system);
        const std::string path = folder.write("loaded.txt", loaded);
        return in_child({{"XDG_CONFIG_HOME", folder.path("user")}, {"XDG_CONFIG_DIRS", folder.path("system")}}, [&] {
            hnorm_set_num_threads(3);
            return hnorm_load_wisdom(path.c_str()) == HNORM_OK ? kernels_of_call() : hnorm_last_error();
        });
    };
    const std::string section = "[machine]\nthreads = 3\n";
    for (const std::string &head : {std::string(), section}) {
        CHECK(with("", head + kLine, "") == "sse41 here");
        CHECK(with(head + best, head + kLine, "") == "other");
        CHECK(with(head + kLine, head + best, "") == "sse41 here");
        CHECK(with(head + best, "", head + kLine) == "sse41 here");
        CHECK(with(head + kLine, "", head + best) == "other");
        CHECK(with("", "", head + best + kLine) == "sse41 here");
    }
}

TEST_CASE("a bad file is ignored, and said in a line", "[once]") {
    const Folder folder;
    const auto notes = [&](const std::string &path) {
        return in_child({{"HNORM_WISDOM", path}}, [] {
            const Statistics computed = some_moments();
            return std::to_string(computed.mean.size()) + " groups; " + all_notes();
        });
    };
    const std::string missing = folder.path("missing.txt");
    CHECK(notes(missing) == "4 groups; " + missing + ": ignored: No such file or directory\n");
    CHECK(notes(folder.path()) == "4 groups; " + folder.path() + ": ignored: not a regular file\n");
    CHECK(notes("/dev/null") == "4 groups; /dev/null: ignored: not a regular file\n");
    const std::string fifo = folder.path("fifo");
    REQUIRE(mkfifo(fifo.c_str(), 0644) == 0);
    CHECK(notes(fifo) == "4 groups; " + fifo + ": ignored: not a regular file\n");
    const std::string huge = folder.write("huge.txt", std::string(5 << 20, '\n'));
    CHECK(notes(huge) == "4 groups; " + huge + ": ignored: larger than 4 MiB\n");

    std::string junk;
    for (uint32_t i = 0, bits = 1; i < 100'000; i++)
        junk += static_cast<char>((bits = bits * 1664525 + 1013904223) >> 24);
    const std::string found = notes(folder.write("junk", junk));
    CHECK(std::count(found.begin(), found.end(), '\n') == 1);
    CHECK(found.find("': this is not a line of wisdom: the line is ignored (and ") != std::string::npos);
}

TEST_CASE("a line that makes no sense is ignored alone, and said with its number", "[once]") {
    const Folder folder;
    const auto note = [&](const std::string &line) {
        const std::string path = folder.write("w.txt", "\n" + line + "\n*/*/*/*/* threads=1\n");
        const std::string text = in_child({{"HNORM_WISDOM", path}}, all_notes);
        const std::string first = path + ": 1 choice in use\n" + path + ", line 2: ";
        REQUIRE(text.substr(0, first.size()) == first);
        return text.substr(first.size());
    };
    const std::string row = "forward/batch/channels_first/f32/2x3x4";
    const std::string end = ": the line is ignored\n";
    CHECK(note("hello") == "'hello': this is not a line of wisdom" + end);
    CHECK(note("colour = blue") == "'colour': the line of a section is unknown or not valid" + end);
    CHECK(note("threads = 0") == "'threads': the line of a section is unknown or not valid" + end);
    CHECK(note(row + " colour=3") == "'colour=3': the choice is unknown" + end);
    CHECK(note(row + " target=z80") == "'target=z80': the target is unknown" + end);
    CHECK(note(row + " threads=257") == "'threads=257': threads must be 1 to 256" + end);
    for (const char *value : {"block_elements=-1", "block_elements=", "block_elements=99999999999999999999",
                              "least_busy_percent=101", "serial_below=1e3"})
        CHECK(note(row + " " + value) == "'" + std::string(value) + "': the value is not valid" + end);
    const auto bad_row = [&](const std::string &bad, const std::string &what) {
        CHECK(note(bad + " threads=1") == "'" + bad + "': " + what + end);
    };
    bad_row("sideways/batch/channels_first/f32/2x3x4", "the function is unknown");
    bad_row("forward/batch/middle/f32/2x3x4", "the layout must be channels_first or channels_last");
    bad_row("forward/batch/channels_first/f64/2x3x4", "the type must be f32, f16 or bf16");
    bad_row("forward/groups0/channels_first/f32/2x3x4", "the group must be batch, instance or groupsG");
    for (const char *shape : {"2", "2x0x4", "2x3x4x5x6x7", "2000000000x2000000000", "2xx4", "-2x3", "2x3/5"})
        bad_row(std::string("forward/batch/channels_first/f32/") + shape,
                "the shape must be 2 to 5 extents, as 32x64x56x56");
}

TEST_CASE("loading a file that cannot be read is refused, and changes nothing", "[once]") {
    REQUIRE(hnorm_load_wisdom(nullptr) == HNORM_INVALID_ARGUMENT);
    CHECK(std::string(hnorm_last_error()) == "hnorm_load_wisdom: path is null: it must name a file");
    REQUIRE(hnorm_load_wisdom("/nowhere/w.txt") == HNORM_INVALID_ARGUMENT);
    CHECK(std::string(hnorm_last_error()) ==
          "hnorm_load_wisdom: path is \"/nowhere/w.txt\": No such file or directory");
    CHECK(hnorm_wisdom_note(-1) == nullptr);
    CHECK(hnorm_wisdom_note(hnorm_wisdom_note_count()) == nullptr);
}
