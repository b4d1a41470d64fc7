#include "cpu_model.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace hnorm::detail {

namespace {

char model_here[64] = "unknown";

void ask_the_cpu() {
    const char *const told = std::getenv("HNORM_CPU_MODEL");
    if (told && *told) {
        std::snprintf(model_here, sizeof model_here, "%s", told);
        return;
    }
#if defined(__x86_64__) || defined(__i386__)
    unsigned a, b, c, d;
    if (!__get_cpuid(0, &a, &b, &c, &d)) {
        return;
    }
    char vendor[13] = "";
    std::memcpy(vendor, &b, 4);
    std::memcpy(vendor + 4, &d, 4);
    std::memcpy(vendor + 8, &c, 4);
    if (!__get_cpuid(1, &a, &b, &c, &d)) {
        return;
    }
    unsigned family = a >> 8 & 15, model = a >> 4 & 15;
    if (family == 6 || family == 15) {
        model += (a >> 16 & 15) << 4;
    }
    if (family == 15) {
        family += a >> 20 & 255;
    }
    std::snprintf(model_here, sizeof model_here, "%s-%u-%X", vendor, family, model);
#elif defined(__aarch64__)
    if (getauxval(AT_HWCAP) & HWCAP_CPUID) {  // Linux reads the register for programs
        unsigned long midr;
        __asm__("mrs %0, MIDR_EL1" : "=r"(midr));
        std::snprintf(model_here, sizeof model_here, "arm64-%lX-%lX", midr >> 24 & 255, midr >> 4 & 4095);
    }
#endif
}

char name_here[128] = "", caches_here[128] = "unknown";

// What the CPU calls itself, without the spaces that some fill it with. ARM's have no name.
void own_name(char *name) {
#if defined(__x86_64__) || defined(__i386__)
    constexpr unsigned kFirst = 0x80000002, kLast = 0x80000004;
    unsigned words[12] = {};
    char text[sizeof words + 1] = "";
    if (__get_cpuid_max(0x80000000, nullptr) >= kLast) {
        unsigned *at = words;
        for (unsigned leaf = kFirst; leaf <= kLast; ++leaf, at += 4) {
            __get_cpuid(leaf, at, at + 1, at + 2, at + 3);
        }
        std::memcpy(text, words, sizeof words);
    }
    const char *const begin = name;
    for (const char *at = text; *at; ++at) {
        if (*at != ' ' || (name != begin && at[1] != ' ' && at[1] != '\0')) {
            *name++ = *at;
        }
    }
#endif
    *name = '\0';
}

void ask_for_name() {
    char own[64];
    own_name(own);
    std::snprintf(name_here, sizeof name_here, "%s%s%s", own, *own ? ", " : "", hnorm_cpu_model());
}

// The file's first line; "" where there is none. It takes no memory, which may have run out.
struct Line {
    char text[32] = "";

    explicit Line(const char *path) {
        const int file = open(path, O_RDONLY | O_CLOEXEC);
        if (file >= 0) {
            const ssize_t got = read(file, text, sizeof text - 1);
            close(file);
            text[got > 0 ? got : 0] = '\0';
            text[std::strcspn(text, "\n")] = '\0';
        }
    }
};

void ask_for_caches() {
    size_t used = 0;
    for (int index = 0; index < 8 && used + 1 < sizeof caches_here; ++index) {
        char folder[64], path[80];
        std::snprintf(folder, sizeof folder, "/sys/devices/system/cpu/cpu0/cache/index%d", index);
        std::snprintf(path, sizeof path, "%s/size", folder);
        const Line size(path);
        std::snprintf(path, sizeof path, "%s/type", folder);
        if (*size.text && std::strcmp(Line(path).text, "Instruction") != 0) {
            used += static_cast<size_t>(
                std::snprintf(caches_here + used, sizeof caches_here - used, "%s%s", used ? " " : "", size.text));
        }
    }
}

// Of a model "vendor-family-model", from the last dash on; -1: it is no number.
long number_of(const char *dash) {
    char *end = nullptr;
    const long number = std::strtol(dash + 1, &end, 16);
    return end == dash + 1 || *end ? -1 : number;
}

}  // namespace

int cpu_distance(const char *model, const char *other) {
    const char *const here = std::strrchr(model, '-'), *const there = std::strrchr(other, '-');
    if (!here || !there || here - model != there - other || number_of(here) < 0 || number_of(there) < 0 ||
        std::strncmp(model, other, static_cast<size_t>(here - model)) != 0) {
        return std::strcmp(model, other) == 0 ? 0 : -1;
    }
    return static_cast<int>(std::min(std::labs(number_of(here) - number_of(there)), long(INT_MAX)));
}

const char *cpu_name() {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, ask_for_name);
    return name_here;
}

const char *cpu_caches() {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, ask_for_caches);
    return caches_here;
}

}  // namespace hnorm::detail

extern "C" const char *hnorm_cpu_model(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, hnorm::detail::ask_the_cpu);
    return hnorm::detail::model_here;
}
