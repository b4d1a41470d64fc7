#include "rounds.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <random>
#include <thread>

namespace hnorm::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kSlow = 20;    // times as long as the fastest
constexpr double kLong = 0.05;  // seconds of a call that says by itself how long it takes
// A timing begins when none of the process's threads has worked for a glance, or after the longest
// wait. Threads of ONNX Runtime spin for longer than 10 ms.
constexpr double kGlance = 2e-3, kLongestWait = 1;
// Then caches are others': on a shared machine it took 2 to 4 ms of calls until 13 MB were read at
// the L3 cache's speed again.
constexpr double kWarm = 6e-3;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

void wait_for_rest() {
    const auto start = Clock::now();
    while (seconds_since(start) < kLongestWait) {
        const std::clock_t worked = std::clock();  // all threads'
        std::this_thread::sleep_for(std::chrono::duration<double>(kGlance));
        if (static_cast<double>(std::clock() - worked) / CLOCKS_PER_SEC < kGlance / 4) return;
    }
}

}  // namespace

std::vector<std::vector<double>> rounds(const std::vector<Contender> &contenders, const Effort &effort,
                                        const Conditions &conditions) {
    const size_t count = contenders.size();
    std::vector<double> once(count);
    for (size_t which = 0; which < count; which++) {
        once[which] = contenders[which].time(1);
        if (once[which] < kLong)
            once[which] = std::max(std::min(contenders[which].time(1), contenders[which].time(1)), 1e-9);
    }
    const double fastest = *std::min_element(once.begin(), once.end());
    const auto is_slow = [&](size_t which) { return once[which] > kSlow * fastest; };
    const auto calls_of = [&](double seconds) {
        return conditions.before ? 1 : static_cast<int>(std::max(1.0, std::ceil(conditions.least_timing / seconds)));
    };
    // The same number of calls for all that are not slow: what the first of them finds in the
    // caches then counts alike.
    std::vector<int> calls(count, calls_of(fastest));
    for (size_t which = 0; which < count; which++)
        if (is_slow(which)) calls[which] = calls_of(once[which]);

    const auto time = [&](size_t which) {
        if (conditions.settle) {
            wait_for_rest();
            for (const auto start = Clock::now(); seconds_since(start) < kWarm;) contenders[which].time(calls[which]);
        }
        if (conditions.before) conditions.before();
        return contenders[which].time(calls[which]);
    };
    // Goes on, and begins elsewhere in each process: who is first is at no measurement who was
    // first at another.
    static std::mt19937 random{std::random_device()()};
    std::vector<std::vector<double>> seconds(count);
    std::vector<size_t> active(count);
    for (size_t which = 0; which < count; which++) active[which] = which;
    const auto start = Clock::now();
    for (int round = 0; round < effort.most; round++) {
        if (round == effort.least) active.erase(std::remove_if(active.begin(), active.end(), is_slow), active.end());
        if (round >= effort.least && seconds_since(start) >= effort.seconds * active.size()) break;
        std::shuffle(active.begin(), active.end(), random);
        for (const size_t which : active) seconds[which].push_back(time(which));
    }
    return seconds;
}

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    const size_t count = values.size();
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

}  // namespace hnorm::bench
