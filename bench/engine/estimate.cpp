#include "estimate.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "rounds.h"

namespace hnorm::bench {
namespace {

constexpr double kTail = 0.025;  // on each side

double geometric_mean(const std::vector<double> &values) {
    double sum = 0;
    for (const double value : values) sum += std::log(value);
    return std::exp(sum / static_cast<double>(values.size()));
}

}  // namespace

std::vector<double> ratios(const std::vector<double> &reference, const std::vector<double> &seconds) {
    std::vector<double> found(std::min(reference.size(), seconds.size()));
    std::transform(reference.begin(), reference.begin() + static_cast<std::ptrdiff_t>(found.size()), seconds.begin(),
                   found.begin(), [](double r, double t) { return r / t; });
    return found;
}

Interval interval(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    const size_t n = values.size();
    // Of the binomial distribution: the chance that `cut` values lie below the median, and that at
    // most so many do.
    double chance = std::pow(0.5, n), tail = chance;
    size_t cut = 0;
    while (cut < n / 2) {
        chance *= static_cast<double>(n - cut) / static_cast<double>(cut + 1);
        if (tail + chance > kTail) break;
        tail += chance;
        cut++;
    }
    return {values[cut], median(values), values[n - 1 - cut]};
}

Interval mean_interval(const std::vector<std::vector<double>> &rows) {
    constexpr size_t kResamples = 400;
    std::mt19937 random;  // the same draws for the same rows
    std::vector<double> medians, means;
    for (const std::vector<double> &row : rows) medians.push_back(median(row));
    for (size_t i = 0; i < kResamples; i++) {
        std::vector<double> resampled;
        for (const std::vector<double> &row : rows) {
            std::uniform_int_distribution<size_t> draw(0, row.size() - 1);
            std::vector<double> drawn(row.size());
            std::generate(drawn.begin(), drawn.end(), [&] { return row[draw(random)]; });
            resampled.push_back(median(drawn));
        }
        means.push_back(geometric_mean(resampled));
    }
    std::sort(means.begin(), means.end());
    const auto cut = static_cast<size_t>(kTail * kResamples);
    return {means[cut], geometric_mean(medians), means[kResamples - 1 - cut]};
}

}  // namespace hnorm::bench
