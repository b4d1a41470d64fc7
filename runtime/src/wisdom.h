// Choices that were measured for calls, and read from files (hnorm/wisdom.h): the target, the
// number of threads and the values of Dispatch of single calls. None of them changes a bit of a
// result.
#pragma once

#include <hnorm/wisdom.h>

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "call_log.h"
#include "kernels.h"

namespace hnorm::detail {

// A value of Dispatch by its name in files.
struct DispatchField {
    const char *name;
    int64_t Dispatch::*value;
    int64_t most;
};
constexpr int kDispatchFields = 7;
static_assert(sizeof(Dispatch) == kDispatchFields * sizeof(int64_t));
extern "C" const DispatchField hnorm_dispatch_fields[kDispatchFields];

// What is chosen for a call. All else is as without a plan.
struct Plan {
    const Target *target = nullptr;  // null: that in use
    int threads = 0;                 // at most so many; 0: as many as the call may use
    unsigned set = 0;                // bit i: values[i] is chosen
    int64_t values[kDispatchFields] = {};

    Dispatch over(const Dispatch &dispatch) const {
        Dispatch result = dispatch;
        for (int i = 0; i < kDispatchFields; ++i) {
            if (set >> i & 1) {
                result.*hnorm_dispatch_fields[i].value = values[i];
            }
        }
        return result;
    }
    bool operator==(const Plan &other) const {
        return target == other.target && threads == other.threads && set == other.set &&
               std::equal(values, values + kDispatchFields, other.values);
    }
};

// What is known now. Null: nobody has looked yet. What was known is kept until the library is
// unloaded, so that no call needs a lock. The pointer has a C name, so that the tuner can switch
// between what is known without a choice and with it.
struct Known {
    bool any;  // plans
};
extern "C" std::atomic<const Known *> hnorm_known_wisdom;

// Whether there may be plans. Most programs have none: then a call takes two loads.
inline bool has_wisdom() {
    const Known *const known = hnorm_known_wisdom.load(std::memory_order_acquire);
    return known == nullptr || known->any;
}

// Whether there is a plan for a call that may use so many threads; a copy of it.
bool find_plan(const CallKind &kind, int threads, Plan *plan);

// For the tuner and tests: from here on every call has this plan, until hnorm_known_wisdom gets
// another value.
extern "C" void hnorm_force_plan(const Plan *plan);
// For the tuner: as hnorm_load_wisdom() for a file of this name with this text. Throws where memory
// runs out.
extern "C" void hnorm_learn_wisdom(const char *name, const char *text);

// The build's name, as in files. The build writes it (cmake/KernelTable.cmake).
extern "C" const char hnorm_build_name[];

}  // namespace hnorm::detail
