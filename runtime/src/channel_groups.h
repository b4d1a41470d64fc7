// Groups of neighbouring channels (HNORM_GROUPS; docs/order.md, "Groups of channels").
#pragma once

#include "compute.h"

namespace hnorm::detail {

// Replaces the sum of each channel by the sum of its group. There are `count` channels, and each
// `together` neighbours are a group.
void add_channels(int64_t count, int64_t together, double *values);
// Does the same with moments. Each channel has `size` elements. M2 of the group is divided by
// `divisor`.
void merge_channels(int64_t count, int64_t together, double size, double divisor, double *mean, double *m2);

// Statistics that are computed for each channel, where the caller wants them for each group.
class StatisticsOfChannels {
public:
    // mean and variance are the caller's arrays. Null: not wanted.
    hnorm_status reserve(const char *function, const Planes &x, const Grouping &group, double *mean, double *variance);
    // Where to compute them. These are the caller's arrays if a group is one channel.
    double *mean() const { return mean_.computed; }
    double *variance() const { return variance_.computed; }
    // Fills the caller's arrays, once the statistics are computed.
    void give() const;

private:
    struct Values {
        double *computed, *wanted;
    };
    Values mean_ = {}, variance_ = {};
    int64_t groups_ = 0, together_ = 1;
    Scratch memory_;
};

// Copies of mean and variance with one value for each channel, made from one value for each group.
class RepeatedStatistics {
public:
    // Before the call *mean and *variance point to one value for each group of x. After it they
    // point to one value for each channel.
    hnorm_status repeat(const char *function, const Planes &x, const Grouping &group, const double **mean,
                        const double **variance);

private:
    Scratch memory_;
};

}  // namespace hnorm::detail
