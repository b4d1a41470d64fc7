// Kernels that compute nothing and say that they were called: a table of them tells which kernels a
// call takes, by asking the runtime itself. Only the table that the tuner writes for that purpose
// includes this.
#pragma once

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
// Whether stubs answer as if all groups were ordinary; else as if none was, and the runtime takes
// other kernels too.
bool &values_are_ordinary();

// Fills a result: a spread, a magnitude or a sum.
template <typename T>
void answer(const halide_buffer_t *result, T ordinary) {
    const halide_dimension_t *const dim = result->dim;
    const auto at = [&](int d, int32_t i) { return d < result->dimensions ? int64_t(i) * dim[d].stride : 0; };
    const auto extent = [&](int d) { return d < result->dimensions ? dim[d].extent : 1; };
    for (int32_t l = 0; l < extent(3); ++l)
        for (int32_t k = 0; k < extent(2); ++k)
            for (int32_t j = 0; j < extent(1); ++j)
                for (int32_t i = 0; i < extent(0); ++i)
                    reinterpret_cast<T *>(result->host)[at(0, i) + at(1, j) + at(2, k) + at(3, l)] =
                        values_are_ordinary() ? ordinary : T(0);
}

template <typename Kernel, const char *name>
struct Stub;

template <const char *name, typename... Arguments>
struct Stub<int (*)(Arguments...), name> {
    static int call(Arguments... arguments) {
        using Kernel = int (*)(Arguments...);
        constexpr size_t last = sizeof...(Arguments) - 1;
        [[maybe_unused]] const auto all = std::make_tuple(arguments...);
        note_call(name);
        constexpr int32_t kOne = 0x3f800000;  // the bits of 1.0f
        if constexpr (std::is_same_v<Kernel, detail::ProbeKernel>) {
            answer(std::get<last>(all), kOne);
        } else if constexpr (std::is_same_v<Kernel, detail::MomentsMeasuredKernel>) {
            answer(std::get<last - 2>(all), 1.0);
            answer(std::get<last - 1>(all), 1.0);
            answer(std::get<last>(all), kOne);
        } else if constexpr (std::is_same_v<Kernel, detail::MomentsKernel> ||
                             std::is_same_v<Kernel, detail::BackwardReduceKernel>) {
            answer(std::get<last - 1>(all), 1.0);
            answer(std::get<last>(all), 1.0);
        } else if constexpr (std::is_same_v<Kernel, detail::BackwardReduceMeasuredKernel>) {
            answer(std::get<last - 3>(all), 1.0);
            answer(std::get<last - 2>(all), 1.0);
            answer(std::get<last - 1>(all), kOne);
            answer(std::get<last>(all), kOne);
        }
        return 0;
    }
};

}  // namespace hnorm::tune
