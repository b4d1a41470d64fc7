#include "cpu_model.h"

#include <pthread.h>

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

// What the CPU calls itself, without the spaces that some fill it with. ARM's have no name.
std::string own_name() {
    std::string name;
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
    for (const char *at = text; *at; ++at) {
        if (*at != ' ' || (!name.empty() && at[1] != ' ' && at[1] != '\0')) {
            name += *at;
        }
    }
#endif
    return name;
}

// The file's first line; "" where there is none.
std::string line_of(const std::string &path) {
    char text[64] = "";
    if (std::FILE *const file = std::fopen(path.c_str(), "re")) {
        const bool read = std::fgets(text, sizeof text, file) != nullptr;
        std::fclose(file);
        text[read ? std::strcspn(text, "\n") : 0] = '\0';
    }
    return text;
}

}  // namespace

int cpu_distance(const char *model, const char *other) {
    const char *const here = std::strrchr(model, '-'), *const there = std::strrchr(other, '-');
    if (!here || !there || here - model != there - other ||
        std::strncmp(model, other, static_cast<size_t>(here - model)) != 0) {
        return std::strcmp(model, other) == 0 ? 0 : -1;
    }
    return std::abs(static_cast<int>(std::strtol(here + 1, nullptr, 16) - std::strtol(there + 1, nullptr, 16)));
}

std::string cpu_name() {
    const std::string own = own_name();
    return own + (own.empty() ? "" : ", ") + hnorm_cpu_model();
}

std::string cpu_caches() {
    std::string sizes;
    for (int index = 0; index < 8; ++index) {
        const std::string folder = "/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(index) + "/";
        const std::string size = line_of(folder + "size");
        if (!size.empty() && line_of(folder + "type") != "Instruction") {
            sizes += (sizes.empty() ? "" : " ") + size;
        }
    }
    return sizes.empty() ? "unknown" : sizes;
}

}  // namespace hnorm::detail

extern "C" const char *hnorm_cpu_model(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, hnorm::detail::ask_the_cpu);
    return hnorm::detail::model_here;
}
