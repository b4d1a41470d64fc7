// The log is a table of counters, to which threads add without locks. It is written as the program
// ends, or as the plug-in with hnorm inside is unloaded.
#include "call_log.h"

#include <hnorm/hnorm.h>

#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cstdlib>

#include "call_log_file.h"
#include "call_log_key.h"
#include "device.h"

namespace hnorm::detail {

std::atomic<LogState> log_state{LogState::kUnread};

namespace {

struct Count {
    uint64_t calls, nanoseconds;
};

}  // namespace

// Reading the clock twice takes longer than all else here, so of many equal calls not each is
// timed.
struct Counter {
    std::atomic<uint64_t> calls, time;
    static constexpr uint64_t kAllTimed = 64, kEvery = 16;

    // Counts a call. Returns how many calls its time stands for: 0 if it need not be timed.
    uint64_t add() {
        const uint64_t before = calls.fetch_add(1, std::memory_order_relaxed);
        return before < kAllTimed ? 1 : before % kEvery == 0 ? kEvery : 0;
    }
    void add_time(uint64_t nanoseconds) { time.fetch_add(nanoseconds, std::memory_order_relaxed); }
    // The time of all calls, by that of those that were timed.
    Count count() const {
        const uint64_t all = calls.load(std::memory_order_relaxed), sum = time.load(std::memory_order_relaxed);
        if (all <= kAllTimed) {
            return {all, sum};
        }
        const uint64_t stood_for = kAllTimed + (all - kAllTimed + kEvery - 1) / kEvery * kEvery;
        return {all, static_cast<uint64_t>(static_cast<double>(sum) * static_cast<double>(all) /
                                           static_cast<double>(stood_for))};
    }
    void clear() {
        calls.store(0, std::memory_order_relaxed);
        time.store(0, std::memory_order_relaxed);
    }
};

namespace {

struct Slot {
    enum State : int { kFree, kTaken, kReady };
    std::atomic<int> state;
    CallKey key;
    Counter counter;
};

// Nothing here is ever destroyed, and none of it takes memory before it is used. A table that is
// too full has room for no more.
constexpr size_t kSlots = 4096, kMostProbes = 64;
Slot table[kSlots];
Slot further;  // of calls that have no slot
LogFile log_file;
bool of_child = false;  // of fork()

// Two threads that find a new key at once may give it two slots, which then count together.
Slot &slot_of(const CallKey &key) {
    size_t i = key.hash() % kSlots;
    for (size_t probe = 0; probe < kMostProbes; ++probe, i = (i + 1) % kSlots) {
        Slot &slot = table[i];
        int state = slot.state.load(std::memory_order_acquire);
        if (state == Slot::kFree && slot.state.compare_exchange_strong(state, Slot::kTaken)) {
            slot.key = key;
            slot.state.store(Slot::kReady, std::memory_order_release);
            return slot;
        }
        if (state == Slot::kReady && slot.key == key) {
            return slot;
        }
    }
    return further;
}

// In a column of its own, with a space after it.
void print_column(std::FILE *file, int width, int printed) {
    std::fprintf(file, "%*s", std::max(width - printed, 1), "");
}

// "12 calls, 0.000034 s", without a locale's comma.
void print_count(std::FILE *file, const Count &count) {
    std::fprintf(file, "%" PRIu64 " call%s, %" PRIu64 ".%06" PRIu64 " s", count.calls, count.calls == 1 ? "" : "s",
                 count.nanoseconds / 1000000000, count.nanoseconds / 1000 % 1000000);
}

void print_line(std::FILE *file, const CallKey &key, const Count &count) {
    int printed = 0;
    for (uint64_t i = 0; i < key.what.rank; ++i) {
        printed += std::fprintf(file, "%s%" PRId64, i ? "x" : "", key.shape[i]);
    }
    print_column(file, 20, printed);
    printed = std::fprintf(file, "%s%s%s ", kComputesNames[key.what.computes], key.what.residual ? "_add" : "",
                           key.what.activation ? "_relu" : "");
    printed += key.groups == 0              ? std::fprintf(file, "batch")
               : key.groups == key.shape[1] ? std::fprintf(file, "instance")
                                            : std::fprintf(file, "groups%" PRId64, key.groups);
    printed +=
        std::fprintf(file, " %s %s", key.what.last ? "channels_last" : "channels_first", kTypeNames[key.what.type]);
    print_column(file, 48, printed);
    std::fprintf(file, "# ");
    print_count(file, count);
    std::fprintf(file, "%s%s", key.what.in_place ? ", in place" : "", key.what.padded ? ", with gaps in memory" : "");
    if (key.what.device != HNORM_CPU) {
        std::fprintf(file, " to queue on %s", device_name(static_cast<hnorm_device>(key.what.device)));
    }
    std::fprintf(file, "\n");
}

// The order of the lines: the longest time first. Filled as they are written.
struct Line {
    const Slot *slot;
    Count count;
} lines[kSlots];

size_t collect_lines() {
    size_t count = 0;
    for (const Slot &slot : table) {
        const Count of_slot = slot.counter.count();
        if (slot.state.load(std::memory_order_acquire) != Slot::kReady || of_slot.calls == 0) {
            continue;
        }
        Line *const end = lines + count;
        Line *const same = std::find_if(lines, end, [&](const Line &line) { return line.slot->key == slot.key; });
        if (same == end) {
            lines[count++] = {&slot, of_slot};
        } else {
            same->count.calls += of_slot.calls;
            same->count.nanoseconds += of_slot.nanoseconds;
        }
    }
    std::sort(lines, lines + count,
              [](const Line &a, const Line &b) { return a.count.nanoseconds > b.count.nanoseconds; });
    return count;
}

void print_log(std::FILE *file) {
    const size_t count = collect_lines();
    char date[64] = "";
    const time_t now = time(nullptr);
    struct tm local = {};
    strftime(date, sizeof date, "%F %T", localtime_r(&now, &local));
    std::fprintf(file, "# The calls of ");
    for (const char *c = program_invocation_short_name; *c; ++c) {  // A line of its own would be read as a call.
        std::fputc(*c == '\n' || *c == '\r' ? '?' : *c, file);
    }
    std::fprintf(
        file,
        ", process %d, until %s; hnorm %s, target %s, threads: %d.\n"
        "# A list of shapes: hnorm bench, ./dev bench and ./dev tune take it as --shapes. The longest times come first.\n",
        getpid(), date, hnorm_version(), hnorm_target(), hnorm_get_num_threads());
    for (size_t i = 0; i < count; ++i) {
        print_line(file, lines[i].slot->key, lines[i].count);
    }
    const Count rest = further.counter.count();
    if (rest.calls) {
        std::fprintf(file, "# Of more kinds than a log has lines: ");
        print_count(file, rest);
        std::fprintf(file, "\n");
    }
}

bool is_empty() {
    return further.counter.count().calls == 0 &&
           std::all_of(table, table + kSlots, [](const Slot &slot) { return slot.counter.count().calls == 0; });
}

// A child begins with the counters of its parent.
void after_fork_in_child() {
    if (log_state.load(std::memory_order_relaxed) == LogState::kOn) {
        of_child = true;
        further.counter.clear();
        for (Slot &slot : table) {
            slot.counter.clear();
        }
    }
}

__attribute__((constructor(101))) void mind_forks() { pthread_atfork(nullptr, nullptr, after_fork_in_child); }

// After the program's static objects.
__attribute__((destructor(101))) void end_log() {
    if (log_state.exchange(LogState::kOff) != LogState::kOn || is_empty()) {
        return;
    }
    if (of_child && !log_file.is_of_process()) {
        std::fprintf(
            stderr,
            "hnorm: HNORM_LOG: the calls of process %d, a child of fork(), are not logged: %%p in the name is the "
            "process's number, for a file each\n",
            getpid());
        return;
    }
    log_file.write(print_log);
}

int64_t nanoseconds() {
    struct timespec now = {};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return int64_t(now.tv_sec) * 1000000000 + now.tv_nsec;
}

}  // namespace

void LoggedCall::start() {
    if (log_state.load(std::memory_order_acquire) == LogState::kUnread) {
        static pthread_once_t once = PTHREAD_ONCE_INIT;
        pthread_once(&once, [] {
            const char *const name = secure_getenv("HNORM_LOG");  // not of a program with the rights of somebody else
            log_state.store(name && *name && log_file.choose(name) ? LogState::kOn : LogState::kOff);
        });
    }
    is_on_ = log_state.load(std::memory_order_acquire) == LogState::kOn;
}

void LoggedCall::is_of(const CallKind &kind) {
    if (is_on() && counter_ == nullptr && kind.s != 0) {
        counter_ = &slot_of(key_of(kind, given_)).counter;
        stands_for_ = counter_->add();
        begin_ = stands_for_ != 0 ? nanoseconds() : 0;
    }
}

void LoggedCall::end() { counter_->add_time(static_cast<uint64_t>(nanoseconds() - begin_) * stands_for_); }

}  // namespace hnorm::detail
