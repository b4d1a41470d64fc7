// The contenders as C functions, for a program in another language that times them in turn with its own
// (bench/compare). One case at a time; not thread-safe.
#include <cstring>
#include <memory>
#include <stdexcept>

#include "contenders.h"
#include "exports.h"

namespace {

using namespace hnorm::tune;

std::unique_ptr<Calls> calls;
std::vector<Contender> contenders;
std::string names;
std::vector<char> eviction;

const Contender &named(const std::string &name) {
    for (const Contender &contender : contenders)
        if (contender.name == name) return contender;
    throw std::runtime_error("no contender '" + name + "'");
}

}  // namespace

HNORM_EXPORT int hnorm_compare_threads() { return hnorm_get_num_threads(); }

// Opens a case: its tensors are made and filled. 0, or 1 and a reason in hnorm_compare_error().
HNORM_EXPORT int hnorm_compare_open(const char *name) {
    return guarded([&] {
        const Case c = parse_case(name);
        contenders.clear();
        calls.reset();  // before the next is made: tensors may be large
        calls = std::make_unique<Calls>(std::vector<Case>{c});
        calls->prepare(c, Data::kPlain);
        contenders = kernels(*calls, c);
        contenders.push_back(floor(*calls, c));
    });
}

// Their names, a space between.
HNORM_EXPORT const char *hnorm_compare_contenders() {
    names.clear();
    for (const Contender &contender : contenders) names += (names.empty() ? "" : " ") + contender.name;
    return names.c_str();
}

// The case's memory: x, dy, residual, y, dresidual; gamma, beta, dgamma, dbeta (float); mean, variance (double).
HNORM_EXPORT void *hnorm_compare_memory(const char *name) { return calls ? calls->memory(name) : nullptr; }

// Seconds of a call, over so many; below 0: it failed.
HNORM_EXPORT double hnorm_compare_time(const char *name, int times) {
    double seconds = -1;
    guarded([&] { seconds = timed(named(name), times); });
    return seconds;
}

// Replaces what the caches hold.
HNORM_EXPORT void hnorm_compare_evict(int64_t bytes) {
    if (static_cast<int64_t>(eviction.size()) < bytes) eviction.resize(bytes);
    for (int64_t i = 0; i < bytes; i += 64) eviction[i]++;
}
