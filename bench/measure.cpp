// Why rounds of pairs, and the median of the pairs' ratios:
// - A machine's speed drifts (clock, temperature, neighbours on a shared host) by more than what is to be measured.
//   Reference and work timed within the same few milliseconds see the same machine, and the drift leaves their ratio.
// - The minimum of each would compare the luckiest moment of one with the luckiest of the other, which need not have
//   been the same state of the machine; the mean follows every interruption. The median of the ratios does neither.
// - What runs first in a pair finds the caches as the other left them, so the order alternates from round to round.
// - A timing lasts at least 200 microseconds, many calls for small tensors, so that the clock's own cost and grain
//   vanish.
#include "measure.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <vector>

namespace hnorm::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kLeastTiming = 200e-6;
constexpr double kWarmUp = 5e-3;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Seconds of one call, over `calls` calls.
double time_calls(const Work &work, int calls) {
    const auto start = Clock::now();
    for (int i = 0; i < calls; i++) work();
    return seconds_since(start) / calls;
}

// Warms up, then says how many calls make one timing long enough.
int calls_per_timing(const Work &work) {
    double once = time_calls(work, 1);
    const auto start = Clock::now();
    for (int calls = 1; seconds_since(start) < kWarmUp; calls *= 2) once = time_calls(work, calls);
    return static_cast<int>(std::ceil(std::max(1.0, kLeastTiming / once)));
}

// Linear interpolation between order statistics.
double quantile(std::vector<double> values, double fraction) {
    std::sort(values.begin(), values.end());
    const double position = fraction * (values.size() - 1);
    const size_t below = static_cast<size_t>(position);
    const size_t above = std::min(below + 1, values.size() - 1);
    return values[below] + (position - below) * (values[above] - values[below]);
}

}  // namespace

Comparison compare(const Work &reference, const Work &work, const Effort &effort, Caches caches) {
    const int reference_calls = calls_per_timing(reference);
    const int work_calls = calls_per_timing(work);
    const auto timed = [caches](const Work &which, int calls) {
        if (caches == Caches::kOfItsOwn) which();
        return time_calls(which, calls);
    };

    std::vector<double> reference_times, times, ratios;
    const auto start = Clock::now();
    for (int round = 0; round < effort.most_rounds; round++) {
        if (round >= effort.least_rounds && seconds_since(start) >= effort.seconds) break;
        double reference_time, time;
        if (round % 2 == 0) {
            reference_time = timed(reference, reference_calls);
            time = timed(work, work_calls);
        } else {
            time = timed(work, work_calls);
            reference_time = timed(reference, reference_calls);
        }
        reference_times.push_back(reference_time);
        times.push_back(time);
        ratios.push_back(reference_time / time);
    }
    return {quantile(times, 0.5),   quantile(reference_times, 0.5), quantile(ratios, 0.5),
            quantile(ratios, 0.25), quantile(ratios, 0.75),         static_cast<int>(ratios.size())};
}

}  // namespace hnorm::bench
