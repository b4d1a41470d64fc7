// What the figures were measured on.
#pragma once

#include <fstream>
#include <string>

namespace hnorm::bench {

// As Linux names it, such as "AMD EPYC 7763 64-Core Processor"; "unknown CPU" elsewhere.
inline std::string cpu_name() {
    std::ifstream info("/proc/cpuinfo");
    for (std::string line; std::getline(info, line);) {
        const size_t colon = line.find(": ");
        if (line.rfind("model name", 0) == 0 && colon != std::string::npos) return line.substr(colon + 2);
    }
    return "unknown CPU";
}

}  // namespace hnorm::bench
