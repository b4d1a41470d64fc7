#include "search.h"

#include <hnorm/hnorm.h>

#include <algorithm>
#include <chrono>
#include <optional>

#include "../bench/engine/contenders.h"
#include "candidates.h"

namespace hnorm::tools {
namespace {

constexpr double kLookedFaster = 1.01;  // worth another look
constexpr double kWorth = 0.01;
constexpr size_t kFinalists = 4;
constexpr int kLeastRounds = 3, kMostRounds = 15, kMostFinalRounds = 31;
constexpr int kLeastProof = 9, kMostProof = 101;  // rounds
constexpr int kBeforeRounds = 3;                  // calls of each contender (rounds.cpp)

double seconds_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// One row's measurements. The library without wisdom is the first contender of each.
class RowSearch {
public:
    RowSearch(bench::Calls &calls, const bench::Case &c, const Knowledge &knowledge, double seconds)
        : calls_(calls), case_(c), knowledge_(knowledge), seconds_(seconds) {}

    Proposal run(const std::string &kept) {
        Proposal proposal;
        time_once();
        proposal.call = call_;
        std::vector<Candidate> candidates = candidates_of(case_, hnorm_get_num_threads());
        // Two thirds of the time are for all of them, as many as it is enough for.
        const double left = seconds_ - seconds_since(start_);
        const auto affordable = static_cast<int64_t>(left * 2 / 3 / time_of(kLeastRounds)) - 1;
        if (affordable < 1) {
            return proposal;
        }
        candidates.resize(std::min(candidates.size(), static_cast<size_t>(affordable)));
        proposal.measured = true;
        const std::vector<double> speeds = measure(candidates, left * 2 / 3, kMostRounds, false).speeds;
        candidates = finalists(candidates, speeds);
        const bool has_kept = !kept.empty();
        const double rest = seconds_ - seconds_since(start_);
        const auto finals = static_cast<int64_t>(rest / time_of(kLeastRounds)) - 1 - has_kept;
        candidates.resize(std::min(candidates.size(), static_cast<size_t>(std::max<int64_t>(finals, 1))));
        if (candidates.empty() && !has_kept) {
            return proposal;
        }
        const Speeds last = measure(candidates, rest, kMostFinalRounds, has_kept);
        double best = has_kept ? std::max(last.kept, kLookedFaster) : kLookedFaster;
        proposal.values = has_kept && last.kept > 1 ? kept : "";
        for (size_t i = 0; i < candidates.size(); ++i) {
            // Each further change has to be worth it.
            const double speed = last.speeds[i] - kWorth * static_cast<double>(candidates[i].changes() - 1);
            if (speed > best) {
                best = speed;
                proposal.values = values_of(candidates[i].plan);
            }
        }
        return proposal;
    }

private:
    struct Speeds {
        std::vector<double> speeds;  // over the library's own choice, by candidate
        double kept = 0;
    };

    void time_once() {
        const bench::Contender first = without_wisdom();
        first.time(1);
        call_ = first.time(1);
    }
    // Of a contender's rounds, at least.
    double time_of(int rounds) const {
        return kBeforeRounds * call_ + rounds * std::max(call_, bench::Conditions().least_timing);
    }

    bench::Contender without_wisdom() {
        return bench::call_after("own", [this] { detail::hnorm_known_wisdom = knowledge_.none; }, calls_, case_);
    }

    // kept: whether what the program knew before takes part.
    Speeds measure(const std::vector<Candidate> &candidates, double seconds, int most, bool kept) {
        std::vector<bench::Contender> contenders = {without_wisdom()};
        if (kept) {
            contenders.push_back(
                bench::call_after("kept", [this] { detail::hnorm_known_wisdom = knowledge_.present; }, calls_, case_));
        }
        for (const Candidate &candidate : candidates) {
            contenders.push_back(bench::call_after(
                candidate.kind, [&candidate] { detail::hnorm_force_plan(&candidate.plan); }, calls_, case_));
        }
        const double each = seconds / static_cast<double>(contenders.size()) - kBeforeRounds * call_;
        const auto found = bench::rounds(contenders, {std::max(each, 0.0), kLeastRounds, most});
        const auto speed = [&](size_t which) { return bench::median(bench::ratios(found[0], found[which])); };
        Speeds result;
        result.kept = kept ? speed(1) : 0;
        for (size_t i = contenders.size() - candidates.size(); i < contenders.size(); ++i) {
            result.speeds.push_back(speed(i));
        }
        return result;
    }

    // The fastest, and the combinations of the fastest of each kind with the fastest of all.
    static std::vector<Candidate> finalists(const std::vector<Candidate> &candidates,
                                            const std::vector<double> &speeds) {
        std::vector<size_t> order;
        for (size_t i = 0; i < candidates.size(); ++i) {
            if (speeds[i] > kLookedFaster) {
                order.push_back(i);
            }
        }
        std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return speeds[a] > speeds[b]; });
        std::vector<Candidate> chosen;
        std::optional<Candidate> all;
        for (const size_t i : order) {
            const Candidate &candidate = candidates[i];
            if (chosen.size() < kFinalists) {
                chosen.push_back(candidate);
            }
            if (!all) {
                all = candidate;
            } else if (all->kind.find(candidate.kind) == std::string::npos) {
                all = combined(*all, candidate);
                chosen.insert(chosen.begin(), *all);
            }
        }
        return chosen;
    }

    bench::Calls &calls_;
    const bench::Case &case_;
    const Knowledge &knowledge_;
    const double seconds_;
    const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
    double call_ = 0;  // seconds
};

}  // namespace

Proposal search(bench::Calls &calls, const bench::Case &c, const Knowledge &knowledge, const std::string &kept,
                double seconds) {
    return RowSearch(calls, c, knowledge, seconds).run(kept);
}

Proof prove(bench::Calls &calls, const bench::Case &c, const Knowledge &knowledge, const detail::Known *after,
            double seconds) {
    const auto start = std::chrono::steady_clock::now();
    calls.prepare(c, bench::Data::kPlain);
    const std::vector<bench::Contender> contenders = {
        bench::call_after(
            "own", [&] { detail::hnorm_known_wisdom = knowledge.none; }, calls, c),
        bench::call_after("after", [&] { detail::hnorm_known_wisdom = after; }, calls, c)};
    const double call = contenders[0].time(1), left = seconds - seconds_since(start);
    const double before = 2 * kBeforeRounds * call;
    if (left < before + 2 * kLeastProof * std::max(call, bench::Conditions().least_timing)) {
        return {};
    }
    const auto found = bench::rounds(contenders, {(left - before) / 2, kLeastProof, kMostProof});
    const auto fastest = [&](size_t which) { return *std::min_element(found[which].begin(), found[which].end()); };
    return {true, bench::interval(bench::ratios(found[0], found[1])), fastest(0) / fastest(1)};
}

double usual_call(const bench::Case &c) {
    constexpr double kBytesPerSecond = 8e9;
    return std::max(static_cast<double>(c.bytes_moved()) / kBytesPerSecond, bench::Conditions().least_timing);
}

}  // namespace hnorm::tools
