// Merging of moments (Chan, Golub, LeVeque 1983).
#pragma once

namespace hnorm::detail {

// Merges the moments of other elements of a group into count, mean and m2.
inline void merge_moments(double *count, double *mean, double *m2, double other_count, double other_mean,
                          double other_m2) {
    if (other_count == 0) {
        return;  // Nothing to add, whatever its mean.
    }
    const double a = *count, total = a + other_count;
    if (a == 0) {
        *mean = other_mean;
        *m2 = other_m2;
    } else {
        const double delta = other_mean - *mean;
        *mean += delta * (other_count / total);
        *m2 += other_m2 + delta * delta * (a * (other_count / total));
    }
    *count = total;
}

}  // namespace hnorm::detail
