// The engine as C functions, for a program in another language that brings contenders of its own
// (bench/library.py). One case at a time; not thread-safe.
#include <hnorm/wisdom.h>

#include <map>
#include <memory>
#include <stdexcept>

#include "contenders.h"
#include "exports.h"

namespace {

using namespace hnorm::bench;

Calls calls;
std::map<std::string, Contender> contenders;
std::map<std::string, std::vector<double>> seconds;
std::vector<char> eviction;

void add(const Contender &contender) { contenders[contender.name] = contender; }

// Replaces what the caches hold.
void evict() {
    for (size_t i = 0; i < eviction.size(); i += 64) eviction[i]++;
}

// The calls' arrays are those of another library.
void share(void *(*memory)(const char *)) {
    std::map<const void *, void *> theirs;
    for (const Calls::Array &array : calls.arrays()) theirs[array.memory] = memory(array.name.c_str());
    calls.place(HNORM_CPU, [theirs](void *ours) { return theirs.at(ours); });
}

std::string text;  // of the last answer

}  // namespace

// As JSON: the target or device in use, and the number of threads.
HNORM_EXPORT const char *hnorm_bench_machine() {
    text.clear();
    guarded([] { text = machine(); });
    return text.c_str();
}

HNORM_EXPORT int hnorm_bench_set_threads(int threads) {
    return guarded([=] {
        if (hnorm_set_num_threads(threads) != HNORM_OK) throw std::runtime_error(hnorm_last_error());
    });
}

// Opens a case: its tensors are filled, and it gets its contenders: the rows of the dispatch table
// and the floor; of f32's forward and backward the plain loop; of "copy" the other copies. memory:
// null, or another library's hnorm_bench_memory, with the same case open there: calls are on that
// memory. 0, or 1 and a reason in hnorm_bench_error().
HNORM_EXPORT int hnorm_bench_open(const char *name, void *(*memory)(const char *)) {
    return guarded([&] {
        hnorm_forget_wisdom();  // the library's own choices are compared
        const Case c = parse_case(name);
        contenders.clear();
        calls.reserve({c});
        memory ? share(memory) : place(calls);
        calls.prepare(c, Data::kPlain);
        send();
        add(floor(calls, c));
        const bool is_copy = c.operation->function == Function::kCopy;
        for (const Contender &contender : is_copy ? copies(calls, c) : kernels(calls, c)) add(contender);
        if (has_plain_loop(c)) add(plain_loop(calls, c));
    });
}

// A contender of the caller's: seconds of a call, over so many; below 0: it failed.
HNORM_EXPORT void hnorm_bench_add(const char *name, double (*time)(int calls)) {
    add({name, [=](int calls) {
             const double result = time(calls);
             if (result < 0) throw std::runtime_error("a contender failed");
             return result;
         }});
}

// A contender of another library's, by its hnorm_bench_time: one call of C++ from the other, as its
// own are timed.
HNORM_EXPORT void hnorm_bench_add_other(const char *name, double (*time)(const char *, int), const char *other) {
    add({name, [time, other = std::string(other)](int calls) {
             const double result = time(other.c_str(), calls);
             if (result < 0) throw std::runtime_error("a call of the other library failed");
             return result;
         }});
}

// The address, where the calls take it, of x, dy, residual, y, dresidual; gamma, beta, dgamma,
// dbeta (float); mean, variance (double).
HNORM_EXPORT void *hnorm_bench_memory(const char *name) { return calls.address(name); }

// Gives one of these arrays values from the CPU's memory.
HNORM_EXPORT int hnorm_bench_fill(const char *name, const void *values, int64_t bytes) {
    return guarded([&] {
        for (const Calls::Array &array : calls.arrays())
            if (array.name == name && bytes <= array.bytes) return fill(calls, name, values, bytes);
        throw std::runtime_error(std::string("there is no array ") + name + " of " + std::to_string(bytes) + " bytes");
    });
}

// Seconds of a call, over so many; below 0: it failed.
HNORM_EXPORT double hnorm_bench_time(const char *name, int times) {
    double result = -1;
    guarded([&] { result = contenders.at(name).time(times); });
    return result;
}

// Times the contenders with these names (rounds.h). evict_bytes: of the caches to be emptied before
// each timing, or 0.
HNORM_EXPORT int hnorm_bench_measure(const char *const *names, int count, double effort_seconds, int least, int most,
                                     int64_t evict_bytes, int settle) {
    return guarded([&] {
        std::vector<Contender> chosen;
        for (int i = 0; i < count; i++) chosen.push_back(contenders.at(names[i]));
        Conditions conditions;
        conditions.least_timing = least_timing();
        conditions.settle = settle != 0;
        eviction.resize(evict_bytes);
        if (evict_bytes) conditions.before = evict;
        const auto found = rounds(chosen, {effort_seconds, least, most}, conditions);
        for (int i = 0; i < count; i++) seconds[names[i]] = found[i];
    });
}

// Of the last measurement: seconds of a call by round, and in `count` how many.
HNORM_EXPORT const double *hnorm_bench_seconds(const char *name, int *count) {
    *count = static_cast<int>(seconds[name].size());
    return seconds[name].data();
}
