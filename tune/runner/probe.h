// Kernels that compute nothing and say that they were called: a table of them tells which kernels a
// call takes, by asking the runtime itself. Only the table that the tuner writes for that purpose
// includes this.
#pragma once

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <set>
#include <string>
#include <tuple>
#include <type_traits>

#include "kernels.h"

namespace hnorm::tune {

std::set<std::string> &kernels_called();
// The runtime's threads call, each with blocks of its own.
inline void note_call(const char *name) {
    static std::mutex mutex;
    const std::lock_guard<std::mutex> lock(mutex);
    kernels_called().insert(name);
}
// What samples answer: that all groups are ordinary, or none, by which the runtime takes other
// kernels.
bool &samples_are_ordinary();

inline void answer(halide_buffer_t *bits) {
    const int64_t count = int64_t(bits->dim[0].extent) * bits->dim[1].extent;
    std::fill_n(reinterpret_cast<int32_t *>(bits->host), count, samples_are_ordinary() ? 0x3f800000 : 0);
}

template <typename Kernel, const char *name>
struct Probe;

template <const char *name, typename... Arguments>
struct Probe<int (*)(Arguments...), name> {
    static int call(Arguments... arguments) {
        using Kernel = int (*)(Arguments...);
        constexpr size_t last = sizeof...(Arguments) - 1;
        [[maybe_unused]] const auto all = std::make_tuple(arguments...);
        note_call(name);
        if constexpr (std::is_same_v<Kernel, detail::SampleKernel>) {
            answer(std::get<last>(all));
        } else if constexpr (std::is_same_v<Kernel, detail::BackwardSampleKernel>) {
            answer(std::get<last - 1>(all));
            answer(std::get<last>(all));
        }
        return 0;
    }
};

}  // namespace hnorm::tune
