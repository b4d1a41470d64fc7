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

hnorm_status StatisticsOfChannels::reserve(const char *function, const Planes &x, const Grouping &group, double *mean,
                                           double *variance) {
    groups_ = group.count(x);
    together_ = group.together;
    const bool apart = together_ > 1;
    const int64_t channels = x.groups(group.by);
    if (apart || mean == nullptr || variance == nullptr) {
        HNORM_TRY(memory_.reserve(function, 2 * channels));
    }
    mean_ = {apart || !mean ? memory_.data() : mean, mean};
    variance_ = {apart || !variance ? memory_.data() + channels : variance, variance};
    return HNORM_OK;
}

void StatisticsOfChannels::give() const {
    for (const Values &values : {mean_, variance_}) {
        for (int64_t g = 0; g < groups_ && together_ > 1 && values.wanted; ++g) {
            values.wanted[g] = values.computed[g * together_];
        }
    }
}

hnorm_status RepeatedStatistics::repeat(const char *function, const Planes &x, const Grouping &group,
                                        const double **mean, const double **variance) {
    if (group.together == 1 || x.empty()) {
        return HNORM_OK;
    }
    const int64_t groups = group.count(x);
    HNORM_TRY(memory_.reserve(function, 2 * groups * group.together));
    double *to = memory_.data();
    for (const double **values : {mean, variance}) {
        double *const of_channels = to;
        for (int64_t g = 0; g < groups; ++g) {
            to = std::fill_n(to, group.together, (*values)[g]);
        }
        *values = of_channels;
    }
    return HNORM_OK;
}

}  // namespace hnorm::detail
