#include "cpu_name.h"

#include <cstdio>
#include <cstring>

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

namespace hnorm::detail {

namespace {

constexpr char kUnknown[] = "unknown";

// The file's first line, without spaces at its ends; "" where there is none.
std::string line_of(const std::string &path) {
    char text[256] = "";
    if (std::FILE *const file = std::fopen(path.c_str(), "re")) {
        const bool read = std::fgets(text, sizeof text, file) != nullptr;
        std::fclose(file);
        text[read ? std::strcspn(text, "\n") : 0] = '\0';
    }
    return text;
}

#if defined(__x86_64__) || defined(__i386__)
std::string read_cpu_name() {
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
    // In virtual machines the name alone may say little: "AMD EPYC".
    unsigned a = 0, b = 0, c = 0, d = 0;
    __get_cpuid(1, &a, &b, &c, &d);
    const unsigned family = a >> 8 & 15, model = a >> 4 & 15, stepping = a & 15;
    const unsigned all_family = family == 15 ? family + (a >> 20 & 255) : family;
    const unsigned all_model = family == 15 || family == 6 ? model + (a >> 12 & 240) : model;
    char numbers[64];
    std::snprintf(numbers, sizeof numbers, " (family %u, model %u, stepping %u)", all_family, all_model, stepping);
    return std::string(text) + numbers;
}
#else
// Of the first CPU, from the lines "name : value" of /proc/cpuinfo.
std::string read_cpu_name() {
    std::string implementer, part;
    if (std::FILE *const file = std::fopen("/proc/cpuinfo", "re")) {
        char line[256], value[64];
        while ((implementer.empty() || part.empty()) && std::fgets(line, sizeof line, file)) {
            if (std::sscanf(line, "CPU implementer : %63s", value) == 1) {
                implementer = value;
            } else if (std::sscanf(line, "CPU part : %63s", value) == 1) {
                part = value;
            }
        }
        std::fclose(file);
    }
    return implementer.empty() ? "" : "implementer " + implementer + " part " + part;
}
#endif

// Some CPUs fill their name with spaces.
std::string with_single_spaces(const std::string &text) {
    std::string result;
    for (const char c : text) {
        if (c != ' ' || (!result.empty() && result.back() != ' ')) {
            result += c;
        }
    }
    while (!result.empty() && result.back() == ' ') {
        result.pop_back();
    }
    return result;
}

}  // namespace

std::string cpu_name() {
    const std::string name = with_single_spaces(read_cpu_name());
    return name.empty() ? kUnknown : name;
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
    return sizes.empty() ? kUnknown : sizes;
}

}  // namespace hnorm::detail
