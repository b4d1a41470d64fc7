// Looks for the data of which y and the gradients are most wrong, by the serial transcription of
// docs/order.md: climbs from random starts, each of which changes what a group's values are, how
// often each occurs and in which order, as long as the error grows. Every kernel gives the
// transcription's bits, so what is found here is what they give. Not linked with hnorm.
#include "accuracy.h"
#include "data.h"
#include "transcription.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

using namespace test;

namespace {

struct Planes {
    const char *name;
    int64_t N, S;
    bool last, few_channels;

    size_t size() const { return static_cast<size_t>(N * S); }
    transcription::Group group(const std::vector<float> &values) const {
        return {values.data(), S, N, S, last, few_channels};
    }
    std::string describe() const { return std::string(name) + " " + std::to_string(N) + "x" + std::to_string(S); }
};

// Of every class, groups of one chunk, full and not, and of several: where chunks are many, their
// errors even out.
constexpr Planes kPlanes[] = {
    {"tiny", 4, 9, false, false},     {"tiny", 8, 4, false, false},     {"tiny", 8, 15, false, false},
    {"small", 1, 49, false, false},   {"small", 1, 196, false, false},  {"small", 1, 512, false, false},
    {"small", 1, 784, false, false},  {"small", 8, 49, false, false},   {"small", 1, 1024, false, false},
    {"large", 1, 1025, false, false}, {"large", 1, 1100, false, false}, {"large", 1, 3136, false, false},
    {"last", 1, 32, true, false},     {"last", 1, 49, true, false},     {"last", 1, 64, true, false},
    {"last", 1, 196, true, false},    {"last", 8, 9, true, false},      {"few channels", 1, 1030, true, true},
};

// kMoments: of the mean and M2 alone, which has fewer steps than y's error: a way to start.
enum Objective { kY, kDx, kDgamma, kDbeta, kObjectives, kMoments };
constexpr const char *kNames[] = {"y", "dx", "dgamma", "dbeta"};
constexpr const char *kUnits[] = {"max(1, |xhat|)", "max |invstd*dy|", "sum |dy*xhat|", "sum |dy|"};
// dx: where one element holds nearly all of the variance, its xhat is sqrt(n), and dx there has as
// many times the mean's error. The unit does not know of that: it is dy's.
constexpr double kAllowed[] = {kTolerance, 1e-5, kGradientTolerance, kGradientTolerance};
constexpr double kMostMean = 1e5;  // |mean|/sigma

double normal(Random &random) { return random.normal(); }
// 2^-most to 1, each octave as often
double some_power(Random &random, int most) {
    return std::ldexp(0.5 + 0.5 * random.uniform(), -static_cast<int>(random.index(most)));
}

// Up to four values, each with noise of its own relative size, in shares of the positions, with a
// trend and an offset.
struct Recipe {
    static constexpr int kRules = 10;
    double value[4], share[3], noise, trend, offset;
    int64_t rule;
    uint64_t seed;

    explicit Recipe(Random &random) {
        for (double &v : value) v = random.index(10) < 3 ? 0 : normal(random) * some_power(random, 14);
        if (random.index(3) == 0) value[2] = value[3] = value[1];
        share[0] = random.index(2) ? random.uniform() : 1 - some_power(random, 11);
        for (int i = 1; i < 3; i++) share[i] = random.uniform() * 0.5;
        noise = random.index(2) ? 0 : some_power(random, 27);
        trend = random.index(3) ? 0 : normal(random) * some_power(random, 10);
        offset = random.index(2) ? 0 : normal(random) * std::ldexp(1.0, static_cast<int>(random.index(17)));
        rule = random.index(kRules);
        seed = static_cast<uint64_t>(random.index(INT64_MAX));
    }

    void change(Random &random, double step) {
        const auto nudge = [&](double &v) { v *= 1 + step * normal(random); };
        switch (random.index(12)) {
        case 0:
        case 1:
        case 2:
        case 3: nudge(value[random.index(4)]); break;
        case 4:
        case 5:
        case 6: nudge(share[random.index(3)]); break;
        case 7: nudge(noise); break;
        case 8: nudge(trend); break;
        case 9: nudge(offset); break;
        case 10:
            value[random.index(4)] = random.index(2) ? value[random.index(4)] : normal(random) * some_power(random, 14);
            break;
        default:
            for (double &v : value) v *= 1 + step * 1e-3 * normal(random);  // all: other roundings
        }
        if (random.index(8) == 0) seed = static_cast<uint64_t>(random.index(INT64_MAX));
        if (random.index(32) == 0) rule = random.index(kRules);
    }

    void fill(std::vector<float> &x, const std::vector<bool> &probed) const {
        uint64_t state = seed | 1;  // xorshift64*: a number a position
        const int64_t n = static_cast<int64_t>(x.size());
        const double bounds[3] = {share[0], share[0] + share[1], share[0] + share[1] + share[2]};
        constexpr int64_t kPeriods[] = {0, 0, 64, 16, 4, 32};
        for (int64_t i = 0; i < n; i++) {
            state ^= state >> 12, state ^= state << 25, state ^= state >> 27;
            const double drawn = static_cast<double>((state * 0x2545F4914F6CDD1D) >> 11) * 0x1p-53;
            const double place = static_cast<double>(i) / static_cast<double>(n);
            const double u = rule == 0   ? drawn
                             : rule == 1 ? place
                             : rule < 6  ? static_cast<double>(i % kPeriods[rule]) / static_cast<double>(kPeriods[rule])
                             : rule == 6 ? static_cast<double>(i * 7919 % n) / static_cast<double>(n)
                             : rule == 7 ? static_cast<double>(i / 64 % 4) / 4
                                         : (drawn + (probed[static_cast<size_t>(i)] ? 0 : 1)) / 2;  // a far center
            const int which = u < bounds[0] ? 0 : u < bounds[1] ? 1 : u < bounds[2] ? 2 : 3;
            const double shaken = noise > 0 ? 1 + noise * (2 * drawn - 1) : 1;
            x[static_cast<size_t>(i)] = static_cast<float>(offset + value[which] * shaken + trend * place);
        }
    }

    std::string describe() const {
        char text[400];
        std::snprintf(
            text, sizeof text,
            "values %.9g %.9g %.9g %.9g, shares %.6g %.6g %.6g, noise %.3g, trend %.6g, offset %.9g, rule %d, seed %llu",
            value[0], value[1], value[2], value[3], share[0], share[1], share[2], noise, trend, offset,
            static_cast<int>(rule), static_cast<unsigned long long>(seed));
        return text;
    }
};

// A sum of at(i), i < n, by which Real is exact enough; four of them side by side, for speed.
template <typename Real, typename At>
Real sum(size_t n, At at) {
    Real parts[4] = {0, 0, 0, 0};
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (size_t l = 0; l < 4; l++) parts[l] += at(i + l);
    for (; i < n; i++) parts[0] += at(i);
    return (parts[0] + parts[1]) + (parts[2] + parts[3]);
}

// The error of what is looked for, in its unit, against references in Real; 0 where the data are
// none that the promise is of.
template <typename Real>
Real error_of(Objective objective, const Planes &planes, const std::vector<float> &x, const std::vector<float> &dy) {
    const size_t n = x.size();
    const Real count = static_cast<Real>(n), first = x[0];
    const Real mean_less_first = sum<Real>(n, [&](size_t i) { return x[i] - first; }) / count,
               mean = first + mean_less_first;
    const Real variance = sum<Real>(n,
                                    [&](size_t i) {
                                        const Real d = (x[i] - first) - mean_less_first;
                                        return d * d;
                                    }) /
                          count;
    const Real sigma = std::sqrt(variance);
    if (!(sigma > 1e-15 && sigma < 1e15 && std::fabs(mean) <= kMostMean * sigma)) return 0;
    const auto xhat = [&](size_t i) { return ((x[i] - first) - mean_less_first) / sigma; };

    const transcription::Moments moments = transcription::moments(planes.group(x));
    const double own_variance = moments.M2 / static_cast<double>(n);
    Real worst = 0;
    if (objective == kMoments)
        return std::fabs(moments.mean - mean) / sigma + std::fabs(own_variance - variance) / (2 * variance);
    if (objective == kY) {
        const transcription::Pointwise y(moments.mean, own_variance, 1, 0, 0);
        for (size_t i = 0; i < n; i++) {
            const Real expected = xhat(i);
            worst = std::max(worst, std::fabs(y(x[i]) - expected) / std::max(Real(1), std::fabs(expected)));
        }
        return worst;
    }

    const auto product = [&](size_t i) { return dy[i] * xhat(i); };
    const Real of_dy = sum<Real>(n, [&](size_t i) { return Real(dy[i]); });
    const Real of_both = sum<Real>(n, product);
    const transcription::GradientSums sums =
        transcription::gradient_sums(planes.group(x), planes.group(dy), moments.mean);
    if (objective == kDbeta) {
        const Real size = sum<Real>(n, [&](size_t i) { return std::fabs(Real(dy[i])); });
        return size > 0 ? std::fabs(static_cast<float>(sums.dy) - of_dy) / size : 0;
    }
    if (objective == kDgamma) {
        // Less what the mean's error costs: no order of these sums could help that.
        const Real size = sum<Real>(n, [&](size_t i) { return std::fabs(product(i)); });
        const Real error =
            std::fabs(static_cast<float>(sums.dy_xmu * transcription::invstd(own_variance, 0)) - of_both) -
            std::fabs(moments.mean - mean) / sigma * std::fabs(of_dy);
        return size > 0 ? std::max(error / size, Real(0)) : 0;
    }
    // As worst_dx() measures it.
    const transcription::BackwardPointwise dx(moments.mean, own_variance, 1, sums.dy, sums.dy_xmu,
                                              static_cast<double>(n), 0);
    Real unit = 0;
    for (size_t i = 0; i < n; i++) unit = std::max(unit, std::fabs(Real(dy[i])));
    if (!(unit > 0)) return 0;
    for (size_t i = 0; i < n; i++) {
        const Real expected = dy[i] - of_dy / count - xhat(i) * (of_both / count);
        const Real error = std::fabs(dx(x[i], dy[i]) * sigma - expected) - Real(kUnit) * std::fabs(expected);
        worst = std::max(worst, error / unit);
    }
    return worst;
}

struct Found {
    double error = 0;
    uint64_t climb = 0;
    std::string data;
};

struct Options {
    int64_t evaluations = 100'000;
    uint64_t seed = 1;
    int threads = 1;
    int64_t climb = -1;  // this one alone
    int objective = -1;  // this one alone
};

class Search {
public:
    explicit Search(const Options &options) : options_(options) {}

    void run() {
        if (options_.climb >= 0) {
            climb(static_cast<uint64_t>(options_.climb));
            return;
        }
        std::vector<std::thread> threads;
        for (int i = 0; i < options_.threads; i++)
            threads.emplace_back([this] {
                while (evaluations_ < options_.evaluations) climb(next_++);
            });
        for (std::thread &thread : threads) thread.join();
    }

    // Whether all errors are as promised.
    bool report() const {
        bool kept = true;
        std::printf("%lld evaluations, %llu climbs, seed %llu\n", static_cast<long long>(evaluations_),
                    static_cast<unsigned long long>(next_), static_cast<unsigned long long>(options_.seed));
        for (int objective = 0; objective < kObjectives; objective++) {
            double worst = 0;
            for (size_t i = 0; i < std::size(kPlanes); i++) {
                const Found &found = worst_[objective][i];
                worst = std::max(worst, found.error);
                if (found.error > 0)
                    std::printf(
                        "%-7s %-18s %.3g   --seed %llu --climb %llu\n%s", kNames[objective],
                        kPlanes[i].describe().c_str(), found.error, static_cast<unsigned long long>(options_.seed),
                        static_cast<unsigned long long>(found.climb), options_.climb >= 0 ? found.data.c_str() : "");
            }
            if (worst == 0) {
                kept =
                    kept && (options_.climb >= 0 || options_.objective >= 0);  // a search that finds nothing is broken
                continue;
            }
            std::printf("%s: at most %.3g * %s; %g is allowed\n", kNames[objective], worst, kUnits[objective],
                        kAllowed[objective]);
            kept = kept && worst <= kAllowed[objective];
        }
        return kept;
    }

private:
    // A group, and what the error is that its data give.
    struct State {
        Recipe x_recipe, dy_recipe;
        std::vector<float> x, dy;
        double error = 0;

        State(Random &random, const Planes &planes)
            : x_recipe(random), dy_recipe(random), x(planes.size()), dy(planes.size()) {
            x_recipe.fill(x, transcription::positions_probed(planes.S, planes.N, planes.last));
            dy_recipe.fill(dy, transcription::positions_probed(planes.S, planes.N, planes.last));
        }
    };

    // Each climb follows from the seed and its number alone.
    void climb(uint64_t number) {
        const Planes &planes = kPlanes[number % std::size(kPlanes)];
        const uint64_t turn = number / std::size(kPlanes);
        constexpr Objective kTurns[] = {kY, kDx, kY, kDgamma, kY, kDbeta};
        const Objective objective = kTurns[turn % std::size(kTurns)];
        if (options_.objective >= 0 && options_.objective != objective) return;
        Random random(options_.seed * 0x9E3779B97F4A7C15 + number);
        State state(random, planes);
        if (objective == kY && turn % 4 != 0) improve(random, kMoments, planes, state);
        improve(random, objective, planes, state);

        const std::lock_guard<std::mutex> lock(mutex_);
        Found &worst = worst_[objective][&planes - kPlanes];
        if (state.error <= worst.error) return;
        worst.error = static_cast<double>(error_of<long double>(objective, planes, state.x, state.dy));
        worst.climb = number;
        worst.data = "    x: " + state.x_recipe.describe() + "\n";
        if (objective != kY) worst.data += "    dy: " + state.dy_recipe.describe() + "\n";
    }

    void improve(Random &random, Objective objective, const Planes &planes, State &state) {
        const bool needs_dy = objective != kY && objective != kMoments;
        state.error = error_of<double>(objective, planes, state.x, state.dy);
        const std::vector<bool> probed = transcription::positions_probed(planes.S, planes.N, planes.last);
        State next = state;
        double step = 0.3;
        int64_t evaluations = 1;
        // The best climbs go on for longer.
        const auto patience = [&] { return state.error > 2e-7 ? 400 : 60; };
        for (int failures = 0; failures < patience(); evaluations++) {
            const bool of_dy = objective == kDbeta || (needs_dy && random.index(2));
            const auto take = [of_dy](State &to, const State &from) {
                if (of_dy) {
                    to.dy_recipe = from.dy_recipe;
                    to.dy = from.dy;
                } else {
                    to.x_recipe = from.x_recipe;
                    to.x = from.x;
                }
            };
            Recipe &recipe = of_dy ? next.dy_recipe : next.x_recipe;
            recipe.change(random, step);
            recipe.fill(of_dy ? next.dy : next.x, probed);
            next.error = error_of<double>(objective, planes, next.x, next.dy);
            if (next.error > state.error) {
                take(state, next);
                state.error = next.error;
                failures = 0;
            } else {
                take(next, state);
                if (++failures % 20 == 0) step = failures % 100 ? step * 0.3 : 0.3;
            }
        }
        evaluations_ += evaluations;
    }

    const Options options_;
    std::atomic<int64_t> evaluations_{0};
    std::atomic<uint64_t> next_{0};
    std::mutex mutex_;
    Found worst_[kObjectives][std::size(kPlanes)];
};

const char kUsage[] =
    "usage: search_accuracy [--evaluations N] [--seed S] [--threads T] [--of y|dx|dgamma|dbeta] [--climb NUMBER]\n"
    "Prints the worst errors found for each class of planes, and the climbs that found them: --climb repeats one and prints the data.\n"
    "Exit status: 0 all are as promised, 1 not\n";

bool read_options(int argc, char **argv, Options *options) {
    for (int i = 1; i < argc; i += 2) {
        const std::string option = argv[i];
        if (i + 1 == argc) return false;
        const std::string value = argv[i + 1];
        if (option == "--evaluations") {
            options->evaluations = std::atoll(value.c_str());
        } else if (option == "--seed") {
            options->seed = std::strtoull(value.c_str(), nullptr, 10);
        } else if (option == "--threads") {
            options->threads = std::atoi(value.c_str());
        } else if (option == "--climb") {
            options->climb = std::atoll(value.c_str());
        } else if (option == "--of") {
            for (int j = 0; j < kObjectives; j++)
                if (value == kNames[j]) options->objective = j;
            if (options->objective < 0) return false;
        } else {
            return false;
        }
    }
    return true;
}

}  // namespace

int main(int argc, char **argv) {
    Options options;
    if (!read_options(argc, argv, &options)) {
        std::fputs(kUsage, stderr);
        return 2;
    }
    Search search(options);
    search.run();
    return search.report() ? 0 : 1;
}
