#include "channel_groups.h"

#include <algorithm>

#include "error.h"

namespace hnorm::detail {

void add_channels(int64_t count, int64_t together, double *values) {
    for (double *group = values; group < values + count; group += together) {
        double sum = 0;
        for (int64_t c = 0; c < together; ++c) {
            sum += group[c];
        }
        std::fill_n(group, together, sum);
    }
}

void merge_channels(int64_t count, int64_t together, double size, double divisor, double *mean, double *m2) {
    for (int64_t first = 0; first < count; first += together) {
        double *const means = mean + first, *const m2s = m2 + first;
        double sum = 0, within = 0, between = 0;
        for (int64_t c = 0; c < together; ++c) {
            sum += means[c];
            within += m2s[c];
        }
        const double merged = sum / static_cast<double>(together);
        for (int64_t c = 0; c < together; ++c) {
            const double offset = means[c] - merged;
            between += offset * offset;
        }
        std::fill_n(means, together, merged);
        std::fill_n(m2s, together, (within + size * between) / divisor);
    }
}

void take_groups(int64_t groups, int64_t together, const double *of_channels, double *of_groups) {
    for (int64_t g = 0; g < groups; ++g) {
        of_groups[g] = of_channels[g * together];
    }
}

hnorm_status RepeatedStatistics::repeat(const char *function, const Planes &x, const Grouping &group,
                                        const double **mean, const double **variance) {
    if (group.together == 1 || x.empty()) {
        return HNORM_OK;
    }
    const int64_t count = x.n * x.c;
    HNORM_TRY(memory_.reserve(function, 2 * count));
    double *to = memory_.data();
    for (const double **values : {mean, variance}) {
        for (int64_t i = 0; i < count; ++i) {
            to[i] = (*values)[i / group.together];
        }
        *values = to;
        to += count;
    }
    return HNORM_OK;
}

}  // namespace hnorm::detail
