#include "targets.h"

#include <pthread.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "context.h"
#include "cpu_model.h"
#include "error.h"
#include "pack.h"

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace hnorm::detail {

namespace {

struct Feature {
    const char *name;  // as in /proc/cpuinfo
    const char *lacking;
    bool (*present)();
};

#if defined(__x86_64__) || defined(__i386__)
// The builtin takes literals only, and spells some names in its own way. It also asks whether the
// system saves the registers.
#define HNORM_FEATURE(name, builtin_name) \
    {name, "CPU lacks " name, [] { return __builtin_cpu_supports(builtin_name) != 0; }}
const Feature kFeatures[] = {
    HNORM_FEATURE("ssse3", "ssse3"),
    HNORM_FEATURE("sse4_1", "sse4.1"),
    HNORM_FEATURE("sse4_2", "sse4.2"),
    HNORM_FEATURE("popcnt", "popcnt"),
    HNORM_FEATURE("avx", "avx"),
    HNORM_FEATURE("avx2", "avx2"),
    HNORM_FEATURE("fma", "fma"),
    HNORM_FEATURE("bmi1", "bmi"),
    HNORM_FEATURE("bmi2", "bmi2"),
    HNORM_FEATURE("avx512f", "avx512f"),
    HNORM_FEATURE("avx512cd", "avx512cd"),
    HNORM_FEATURE("avx512bw", "avx512bw"),
    HNORM_FEATURE("avx512dq", "avx512dq"),
    HNORM_FEATURE("avx512vl", "avx512vl"),
    // Not every compiler's builtin knows this one.
    {"f16c", "CPU lacks f16c",
     [] {
         unsigned a = 0, b = 0, c = 0, d = 0;
         return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C) && __builtin_cpu_supports("avx");
     }},
};
#undef HNORM_FEATURE
#elif defined(__aarch64__)
#define HNORM_FEATURE(name, bit) {name, "CPU lacks " name, [] { return (getauxval(AT_HWCAP) & (bit)) != 0; }}
const Feature kFeatures[] = {
    HNORM_FEATURE("asimd", HWCAP_ASIMD),
    HNORM_FEATURE("fphp", HWCAP_FPHP),
    HNORM_FEATURE("asimdhp", HWCAP_ASIMDHP),
};
#undef HNORM_FEATURE
#else
const Feature kFeatures[] = {{"", "", [] { return false; }}};
#endif

const char *unusable(const Target &target) {
    return target.index < 0 ? "not compiled into this library" : lacking_feature(target.features);
}

// The schedule file that is nearest to this CPU, and the CPU model that made it so.
struct Nearest {
    const Target *target;
    const char *model = nullptr;  // null: the file for all
    int distance = -1;
};

Nearest nearest_to_cpu(const Target &target) {
    Nearest nearest{&target};
    for (int i = 0; i < target.schedule_count; ++i) {
        for (const char *const *model = target.schedules[i].cpus; *model; ++model) {
            const int distance = cpu_distance(*model, hnorm_cpu_model());
            if (distance >= 0 && (nearest.model == nullptr || distance < nearest.distance)) {
                nearest = {&target.schedules[i], *model, distance};
            }
        }
    }
    return nearest;
}

// A target, or why there is none.
struct Choice {
    const Target *target = nullptr;
    bool is_named = false;
    hnorm_status status = HNORM_OK;
    char reason[512] = "";

    // The sentence `problem`, then every target and what it lacks here.
    void refuse(hnorm_status why, const char *problem) {
        status = why;
        int used = std::snprintf(reason, sizeof reason, "%s; the targets are", problem);
        for (int i = 0; i < hnorm_targets_count && used < static_cast<int>(sizeof reason); ++i) {
            const char *lacking = unusable(hnorm_targets[i]);
            used +=
                std::snprintf(reason + used, sizeof reason - static_cast<size_t>(used), "%s %s%s%s%s", i ? "," : "",
                              hnorm_targets[i].name, lacking ? " (" : "", lacking ? lacking : "", lacking ? ")" : "");
        }
    }
};

// `what` introduces the name in a refusal.
Choice choose_named(const char *what, const char *name) {
    Choice choice;
    char problem[256];
    const Target *const target = hnorm_target_named(name);
    if (target == nullptr) {
        std::snprintf(problem, sizeof problem, "%s \"%.100s\" is unknown", what, name);
        choice.refuse(HNORM_INVALID_ARGUMENT, problem);
    } else if (const char *const lacking = unusable(*target)) {
        std::snprintf(problem, sizeof problem, "%s \"%s\" cannot run here: %s", what, name, lacking);
        choice.refuse(HNORM_UNSUPPORTED, problem);
    } else {
        choice.target = target;
        choice.is_named = true;
    }
    return choice;
}

Choice choose_default() {
    const char *name = std::getenv("HNORM_TARGET");
    if (name && *name) {
        return choose_named("environment variable HNORM_TARGET:", name);
    }
    Choice choice;
    for (int i = 0; i < hnorm_targets_count && !choice.target; ++i) {
        choice.target = unusable(hnorm_targets[i]) ? nullptr : nearest_to_cpu(hnorm_targets[i]).target;
    }
    if (!choice.target) {
        choice.refuse(HNORM_UNSUPPORTED, "this CPU runs no target of hnorm");
    }
    return choice;
}

// The environment is read once, at the first use (as default_threads(), threads.cpp).
Choice of_environment;
const Choice &default_choice() {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, [] { of_environment = choose_default(); });
    return of_environment;
}

const Target *target_of(const hnorm_context &context) {
    const Target *const forced = context.target.load(std::memory_order_acquire);
    return forced ? forced : default_choice().target;
}

hnorm_status set_target(const char *function, hnorm_context *context, const char *name) {
    const Target *forced = nullptr;
    if (name && *name) {
        const Choice choice = choose_named("target", name);
        if (choice.target == nullptr) {
            return fail(choice.status, "%s: %s", function, choice.reason);
        }
        forced = choice.target;
    }
    context_or_process(context).target.store(forced, std::memory_order_release);
    return HNORM_OK;
}

}  // namespace

hnorm_status active_target(const char *function, const Target **target, bool *is_forced) {
    const hnorm_context &context = current_context();
    const Target *const found = target_of(context);
    *is_forced = context.target.load(std::memory_order_relaxed) || default_choice().is_named;
    if (found == nullptr) {
        return fail(default_choice().status, "%s: %s", function, default_choice().reason);
    }
    *target = with_pack(found);
    return HNORM_OK;
}

extern "C" const Target *hnorm_target_named(const char *name) {
    for (int i = 0; i < hnorm_targets_count; ++i) {
        if (std::strcmp(hnorm_targets[i].name, name) == 0) {
            return nearest_to_cpu(hnorm_targets[i]).target;
        }
    }
    return nullptr;
}

const char *lacking_feature(const char *const *features) {
    for (const char *const *feature = features; *feature; ++feature) {
        const char *reason = "this library cannot tell whether the CPU has every feature it needs";
        for (const Feature &known : kFeatures) {
            if (std::strcmp(known.name, *feature) == 0) {
                reason = known.present() ? nullptr : known.lacking;
            }
        }
        if (reason) {
            return reason;
        }
    }
    return nullptr;
}

}  // namespace hnorm::detail

using namespace hnorm::detail;

extern "C" {

int hnorm_target_count(void) { return hnorm_targets_count; }

const char *hnorm_target_name(int index) {
    return index >= 0 && index < hnorm_targets_count ? hnorm_targets[index].name : nullptr;
}

const char *hnorm_target_unusable(int index) {
    return index >= 0 && index < hnorm_targets_count ? unusable(hnorm_targets[index]) : "there is no such target";
}

const char *hnorm_target_schedule(int index) {
    if (index < 0 || index >= hnorm_targets_count) {
        return "there is no such target";
    }
    static thread_local char sentence[400];
    const Nearest nearest = nearest_to_cpu(hnorm_targets[index]);
    const char *const schedule = nearest.target->schedule, *const cpu = hnorm_cpu_model();
    if (hnorm_targets[index].schedule_count == 0) {
        std::snprintf(sentence, sizeof sentence, "schedule %s, the only one; this CPU is %s", schedule, cpu);
    } else if (nearest.model == nullptr) {
        std::snprintf(sentence, sizeof sentence, "schedule %s: no other is for the family of this CPU, %s", schedule,
                      cpu);
    } else if (nearest.distance == 0) {
        std::snprintf(sentence, sizeof sentence, "schedule %s: it is for this CPU, %s", schedule, cpu);
    } else {
        std::snprintf(sentence, sizeof sentence, "schedule %s: it is for %s, of the family of this CPU, %s", schedule,
                      nearest.model, cpu);
    }
    return sentence;
}

const char *hnorm_target(void) { return hnorm_context_get_target(nullptr); }

const char *hnorm_context_get_target(const hnorm_context *context) {
    const Target *const target = target_of(context_or_process(context));
    return target ? target->name : "";
}

hnorm_status hnorm_set_target(const char *name) { return set_target("hnorm_set_target", nullptr, name); }

hnorm_status hnorm_context_set_target(hnorm_context *context, const char *name) {
    return set_target("hnorm_context_set_target", context, name);
}

}  // extern "C"
