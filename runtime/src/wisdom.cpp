#include "wisdom.h"

#include <pthread.h>

#include <algorithm>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>

#include "cpu_model.h"
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

// Everything that was read; and where a call finds its plan.
struct Wisdom : Known {
    WisdomText text;
    std::unordered_map<Key, Plan, Hash> rows;
    std::vector<Choice> patterns;  // each call compares itself with them, the latest first
    const Wisdom *published_before = nullptr;

    void arrange();
};
const Known kNothing = {false};

// All that was ever known: calls may still use what was replaced.
std::atomic<const Wisdom *> published{nullptr};

// While one plan is forced on all calls.
const Known kForced = {true};
std::atomic<const Plan *> forced_plan{nullptr};

// Bits at the hashes of all keys, and whether there are patterns: most calls have no plan, and
// should learn that at once. What is forgotten leaves them.
std::atomic<uint64_t> marks[256];
std::atomic<bool> has_patterns{false};

uint64_t mark(uint64_t hash) { return uint64_t(1) << hash % 64; }
std::atomic<uint64_t> &marks_at(uint64_t hash) { return marks[hash / 64 % 256]; }
bool may_have_plan(uint64_t hash) {
    return has_patterns.load(std::memory_order_relaxed) ||
           (marks_at(hash).load(std::memory_order_relaxed) & mark(hash)) != 0;
}

void Wisdom::arrange() {
    for (auto choice = text.choices.rbegin(); choice != text.choices.rend(); ++choice) {
        if (!choice->rows.is_one()) {
            patterns.push_back(*choice);
            has_patterns.store(true, std::memory_order_relaxed);
        } else {
            const Key key(choice->rows);
            rows.emplace(key, choice->plan);
            marks_at(key.hash()).fetch_or(mark(key.hash()), std::memory_order_relaxed);
        }
    }
    any = !text.choices.empty();
}

// While it lives, its thread reads what is known, which is not freed. Counted in several places, so
// that threads do not wait for each other.
class Reading {
public:
    Reading() : count_(counts_[place()].readers) { count_.fetch_add(1); }
    ~Reading() { count_.fetch_sub(1, std::memory_order_release); }
    Reading(const Reading &) = delete;
    Reading &operator=(const Reading &) = delete;

    static bool is_none() {
        return std::all_of(counts_, counts_ + kPlaces, [](const Count &count) { return count.readers.load() == 0; });
    }

private:
    struct alignas(64) Count {
        std::atomic<int> readers{0};
    };
    static constexpr size_t kPlaces = 16;
    // Threads have stacks of their own.
    static size_t place() {
        const char here = 0;
        return (reinterpret_cast<uintptr_t>(&here) >> 16) * 0x9e3779b97f4a7c15u >> 60;
    }
    static Count counts_[kPlaces];
    std::atomic<int> &count_;
};
Reading::Count Reading::counts_[Reading::kPlaces];

// Null: nothing is known.
const Wisdom *wisdom_of(const Known *known) {
    return known == &kNothing || known == &kForced ? nullptr : static_cast<const Wisdom *>(known);
}

// Takes the wisdom, which is known from here on, if nobody has learnt anything else meanwhile.
bool publish(const Known *before, std::unique_ptr<Wisdom> *wisdom) {
    if (!hnorm_known_wisdom.compare_exchange_strong(before, wisdom->get())) {
        return false;
    }
    Wisdom *const known = wisdom->release();
    known->published_before = published.load();
    while (!published.compare_exchange_weak(known->published_before, known)) {
    }
    return true;
}

// What the files say that are read by themselves. Null: there are none, or no memory for it.
std::unique_ptr<Wisdom> wisdom_of_machine() {
    try {
        auto wisdom = std::make_unique<Wisdom>();
        read_wisdom_of_machine(&wisdom->text);
        wisdom->arrange();
        return wisdom->text.notes.empty() ? nullptr : std::move(wisdom);
    } catch (...) {
        return nullptr;
    }
}

const Known *known() {
    if (const Known *const present = hnorm_known_wisdom.load()) {
        return present;
    }
    static pthread_once_t once = PTHREAD_ONCE_INIT;  // as default_threads(), threads.cpp
    pthread_once(&once, [] {
        const Known *none = nullptr;
        std::unique_ptr<Wisdom> wisdom = wisdom_of_machine();
        if (wisdom == nullptr || !publish(none, &wisdom)) {
            hnorm_known_wisdom.compare_exchange_strong(none, &kNothing);
        }
    });
    return hnorm_known_wisdom.load();
}

// As the plug-in with hnorm inside is unloaded, or the program ends: then other threads may still
// compute, and what they read stays.
__attribute__((destructor(101))) void unload() {
    hnorm_known_wisdom.store(&kNothing);
    if (Reading::is_none()) {
        for (const Wisdom *wisdom = published.exchange(nullptr); wisdom;) {
            const std::unique_ptr<const Wisdom> unloaded(wisdom);
            wisdom = unloaded->published_before;
        }
    }
}

}  // namespace

bool find_plan(const CallKind &kind, int threads, Plan *plan) {
    if (known() == &kForced) {
        *plan = *forced_plan.load(std::memory_order_relaxed);
        return true;
    }
    const Key key(kind, threads);
    if (!may_have_plan(key.hash())) {
        return false;
    }
    const Reading reading;
    const Wisdom *const wisdom = wisdom_of(known());
    if (wisdom == nullptr) {
        return false;
    }
    const auto found = wisdom->rows.find(key);
    if (found != wisdom->rows.end()) {
        *plan = found->second;
        return true;
    }
    for (const Choice &pattern : wisdom->patterns) {
        if (pattern.rows.hold(kind, threads)) {
            *plan = pattern.plan;
            return true;
        }
    }
    return false;
}

void learn_wisdom(const std::string &name, const std::string &text) {
    const Reading reading;
    for (;;) {
        const Known *const before = known();
        const Wisdom *const present = wisdom_of(before);
        auto wisdom = std::make_unique<Wisdom>();
        if (present) {
            wisdom->text = present->text;
        }
        wisdom->text.add(name, text, {hnorm_build_name, cpu_name(), cpu_caches()});
        if (present && wisdom->text == present->text) {
            return;  // what is kept for ever does not grow
        }
        wisdom->arrange();
        if (publish(before, &wisdom)) {
            return;
        }
    }
}

extern "C" void hnorm_force_plan(const Plan *plan) {
    known();  // or the next call would read the files
    forced_plan.store(plan, std::memory_order_relaxed);
    hnorm_known_wisdom.store(&kForced);
}

extern "C" void hnorm_learn_wisdom(const char *name, const char *text) { learn_wisdom(name, text); }

}  // namespace hnorm::detail

using namespace hnorm::detail;

extern "C" {

void hnorm_forget_wisdom(void) {
    known();  // or the next call would read the files
    hnorm_known_wisdom.store(&kNothing);
}

int hnorm_wisdom_note_count(void) {
    const Reading reading;
    const Wisdom *const wisdom = wisdom_of(known());
    return wisdom ? static_cast<int>(wisdom->text.notes.size()) : 0;
}

const char *hnorm_wisdom_note(int index) {
    const Reading reading;
    const Wisdom *const wisdom = wisdom_of(known());
    return wisdom && index >= 0 && static_cast<size_t>(index) < wisdom->text.notes.size()
               ? wisdom->text.notes[static_cast<size_t>(index)].c_str()
               : nullptr;
}

const char *hnorm_build(void) { return hnorm_build_name; }
const char *hnorm_cpu(void) { return cpu_name(); }
const char *hnorm_caches(void) { return cpu_caches(); }

}  // extern "C"
