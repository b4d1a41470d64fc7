// How far ratios of times are to be trusted, as ../estimate.py, for programs without Python.
// docs/tuner.md, "The estimator", says why these.
#pragma once

#include <vector>

namespace hnorm::bench {

struct Interval {
    double low, middle, high;
};

// Of the times of two contenders in the same rounds: above 1, the one with `seconds` is faster.
// Rounds that one of them does not have are left out.
std::vector<double> ratios(const std::vector<double> &reference, const std::vector<double> &seconds);
// The median, and its interval of 95% by the sign test, which assumes nothing of the distribution.
// Of one value or more.
Interval interval(std::vector<double> values);
// The geometric mean of the rows' medians, and its interval of 95%, by resampling rounds within
// each row.
Interval mean_interval(const std::vector<std::vector<double>> &rows);

}  // namespace hnorm::bench
