#include "wisdom.h"

#include <pthread.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>
#include <unordered_map>

#include "cpu_model.h"
#include "error.h"
#include "wisdom_file.h"

namespace hnorm::detail {

extern "C" {
std::atomic<const Known *> hnorm_known_wisdom{nullptr};
}

namespace {

// Of a call, or of one row: the latter has no other.
struct Key {
    int64_t n, c, s, groups;
    uint64_t others;

    Key(const CallKind &call, int threads)
        : Key(call.n, call.c, call.s, call.groups,
              {call.computes, call.activation, call.residual, call.layout, call.type, threads}) {}
    explicit Key(const Rows &row)
        : Key(row.n, row.c, row.s, row.groups == Rows::kInstance ? row.c : row.groups,
              {row.computes, row.activation, row.residual, row.layout, row.type, row.threads}) {}

    bool operator==(const Key &k) const {
        return n == k.n && c == k.c && s == k.s && groups == k.groups && others == k.others;
    }
    // Products that do not wait for each other.
    uint64_t hash() const {
        const uint64_t hash = uint64_t(n) * 0x9e3779b97f4a7c15u + uint64_t(c) * 0xbf58476d1ce4e5b9u +
                              uint64_t(s) * 0x94d049bb133111ebu + uint64_t(groups) * 0xd6e8feb86659fd93u +
                              others * 0xff51afd7ed558ccdu;
        return hash ^ hash >> 32;
    }

private:
    struct Others {
        Computes computes;
        bool activation, residual;
        Layout layout;
        hnorm_type type;
        int threads;
    };
    Key(int64_t its_n, int64_t its_c, int64_t its_s, int64_t its_groups, const Others &o)
        : n(its_n),
          c(its_c),
          s(its_s),
          groups(its_groups),
          others(uint64_t(o.computes) << 32 | uint64_t(o.activation) << 31 | uint64_t(o.residual) << 30 |
                 uint64_t(o.layout) << 29 | uint64_t(o.type) << 16 | uint64_t(o.threads)) {}
};
struct Hash {
    size_t operator()(const Key &key) const { return key.hash(); }
};

// Everything that was read, the oldest first; and where a call finds its plan.
struct Wisdom : Known {
    const Wisdom *before = nullptr;  // calls may still use what it replaced
    WisdomText text;
    std::unordered_map<Key, Plan, Hash> rows;
    std::vector<Choice> patterns;  // each call compares itself with them, the latest first
    // Bits at the keys' hashes: most calls have no plan, and should learn that at once.
    static constexpr uint64_t kMarks = 1 << 14;
    uint64_t marks[kMarks / 64] = {};

    static uint64_t mark(uint64_t hash) { return uint64_t(1) << hash % 64; }
    static size_t word(uint64_t hash) { return hash % kMarks / 64; }

    void arrange() {
        for (const Choice &choice : text.choices) {
            if (choice.rows.is_one()) {
                const Key key(choice.rows);
                rows.insert_or_assign(key, choice.plan);
                marks[word(key.hash())] |= mark(key.hash());
            } else {
                patterns.insert(patterns.begin(), choice);
            }
        }
        any = !text.choices.empty();
    }
};
const Known kNothing = {false};

// While one plan is forced on all calls.
const Known kForced = {true};
std::atomic<const Plan *> forced_plan{nullptr};

WisdomMachine *machine = nullptr;  // until the library is unloaded

const WisdomMachine &this_machine() {
    static pthread_once_t once = PTHREAD_ONCE_INIT;  // as default_threads(), threads.cpp
    pthread_once(&once, [] {
        try {
            machine = new WisdomMachine{hnorm_build_name, cpu_name(), cpu_caches()};
        } catch (...) {
            machine = nullptr;  // no memory
        }
    });
    if (machine == nullptr) {
        throw std::bad_alloc();
    }
    return *machine;
}

const char *word_of_machine(std::string WisdomMachine::*word) {
    try {
        return (this_machine().*word).c_str();
    } catch (...) {  // no memory
        return "";
    }
}

std::string variable(const char *name) {
    const char *const value = secure_getenv(name);  // a privileged program reads no file that its user names
    return value ? value : "";
}

// The files that are read by themselves; the latter come first.
std::vector<std::string> files_of_machine(bool *named) {
    const std::string wanted = variable("HNORM_WISDOM");
    *named = !wanted.empty();
    if (*named) {
        return {wanted};
    }
    std::vector<std::string> folders = {"/etc"};
    std::string of_system = variable("XDG_CONFIG_DIRS");
    of_system = of_system.empty() ? "/etc/xdg" : of_system;
    for (size_t end = of_system.size(); end != std::string::npos;) {  // its first folder comes first
        const size_t colon = end == 0 ? std::string::npos : of_system.rfind(':', end - 1);
        const size_t begin = colon == std::string::npos ? 0 : colon + 1;
        folders.push_back(of_system.substr(begin, end - begin));
        end = colon;
    }
    const std::string home = variable("HOME"), of_user = variable("XDG_CONFIG_HOME");
    folders.push_back(of_user.empty() && !home.empty() ? home + "/.config" : of_user);
    std::vector<std::string> files;
    for (const std::string &folder : folders) {
        if (!folder.empty() && folder[0] == '/') {
            files.push_back(folder + "/hnorm/wisdom.txt");
        }
    }
    return files;
}

void read_files(WisdomText *text) {
    bool named, missing;
    for (const std::string &path : files_of_machine(&named)) {
        std::string contents;
        const std::string problem = read_wisdom_file(path, &contents, &missing);
        if (problem.empty()) {
            text->add(path, contents, this_machine());
        } else if (named || !missing) {
            text->notes.push_back(path + ": ignored: " + problem);
        }
    }
}

const Known *known() {
    if (const Known *const present = hnorm_known_wisdom.load(std::memory_order_acquire)) {
        return present;
    }
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, [] {
        const Known *first = &kNothing;
        try {
            auto wisdom = std::make_unique<Wisdom>();
            read_files(&wisdom->text);
            wisdom->arrange();
            first = wisdom->text.notes.empty() ? &kNothing : wisdom.release();
        } catch (...) {  // no memory: without wisdom
            first = &kNothing;
        }
        hnorm_known_wisdom.store(first, std::memory_order_release);
    });
    return hnorm_known_wisdom.load(std::memory_order_acquire);
}

// Null: nothing is known.
const Wisdom *wisdom_of(const Known *known) {
    return known == &kNothing || known == &kForced ? nullptr : static_cast<const Wisdom *>(known);
}

// Replaces what is known by the same after change(wisdom).
template <typename Change>
void learn(const Change &change) {
    const Known *before = known();
    Wisdom *wisdom = nullptr;
    do {
        delete wisdom;
        wisdom = new Wisdom;
        wisdom->before = wisdom_of(before);
        if (wisdom->before) {
            wisdom->text = wisdom->before->text;
        }
        change(wisdom);
        wisdom->arrange();
    } while (!hnorm_known_wisdom.compare_exchange_weak(before, wisdom, std::memory_order_acq_rel));
}

// As the plug-in with hnorm inside is unloaded, or the program ends. Calls of other threads find that
// nothing is known.
__attribute__((destructor(101))) void unload() {
    const Wisdom *wisdom = wisdom_of(hnorm_known_wisdom.exchange(&kNothing, std::memory_order_acq_rel));
    while (wisdom) {
        const std::unique_ptr<const Wisdom> unloaded(wisdom);
        wisdom = unloaded->before;
    }
    delete machine;
    machine = nullptr;
}

}  // namespace

const Plan *find_plan(const CallKind &kind, int threads) {
    const Known *const present = known();
    if (present == &kForced) {
        return forced_plan.load(std::memory_order_relaxed);
    }
    const Wisdom *const wisdom = wisdom_of(present);
    if (wisdom == nullptr) {
        return nullptr;
    }
    const Key key(kind, threads);
    const uint64_t hash = key.hash();
    if (wisdom->marks[Wisdom::word(hash)] & Wisdom::mark(hash)) {
        const auto found = wisdom->rows.find(key);
        if (found != wisdom->rows.end()) {
            return &found->second;
        }
    }
    for (const Choice &pattern : wisdom->patterns) {
        if (pattern.rows.hold(kind, threads)) {
            return &pattern.plan;
        }
    }
    return nullptr;
}

extern "C" void hnorm_force_plan(const Plan *plan) {
    known();  // or the next call would read the files
    forced_plan.store(plan, std::memory_order_relaxed);
    hnorm_known_wisdom.store(&kForced, std::memory_order_release);
}

}  // namespace hnorm::detail

using namespace hnorm::detail;

extern "C" {

hnorm_status hnorm_load_wisdom(const char *path) {
    const char *const function = "hnorm_load_wisdom";
    if (path == nullptr) {
        return fail(HNORM_INVALID_ARGUMENT, "%s: path is null: it must name a file", function);
    }
    try {
        std::string contents;
        bool missing;
        const std::string problem = read_wisdom_file(path, &contents, &missing);
        if (!problem.empty()) {
            return fail(HNORM_INVALID_ARGUMENT, "%s: path is \"%.200s\": %s", function, path, problem.c_str());
        }
        learn([&](Wisdom *wisdom) { wisdom->text.add(path, contents, this_machine()); });
    } catch (...) {
        return fail(HNORM_OUT_OF_MEMORY, "%s: no memory for what \"%.200s\" says", function, path);
    }
    return HNORM_OK;
}

void hnorm_forget_wisdom(void) {
    try {
        learn([](Wisdom *wisdom) { wisdom->text = {}; });
    } catch (...) {
        hnorm_known_wisdom.store(&kNothing, std::memory_order_release);  // no memory to keep what calls may still use
    }
}

int hnorm_wisdom_note_count(void) {
    const Wisdom *const wisdom = wisdom_of(known());
    return wisdom ? static_cast<int>(wisdom->text.notes.size()) : 0;
}

const char *hnorm_wisdom_note(int index) {
    const Wisdom *const wisdom = wisdom_of(known());
    return wisdom && index >= 0 && index < hnorm_wisdom_note_count() ? wisdom->text.notes[size_t(index)].c_str()
                                                                     : nullptr;
}

const char *hnorm_build(void) { return hnorm_build_name; }
const char *hnorm_cpu(void) { return word_of_machine(&WisdomMachine::cpu); }
const char *hnorm_caches(void) { return word_of_machine(&WisdomMachine::caches); }

}  // extern "C"
