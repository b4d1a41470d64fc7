// What is normalized together, and groups of neighbouring channels (HNORM_GROUPS; docs/order.md, "Groups of channels").
#pragma once

#include "compute.h"

namespace hnorm::detail {

// Sums of each channel of a sample, after which every channel has its group's: `count` of them, neighbours so many at a time.
void add_channels(int64_t count, int64_t together, double *values);
// The same of moments of `size` elements each; M2 as divided by `divisor`.
void merge_channels(int64_t count, int64_t together, double size, double divisor, double *mean, double *m2);
// One value for each group, from one for each channel.
void take_groups(int64_t groups, int64_t together, const double *of_channels, double *of_groups);

// mean and variance for each channel, where they are given for each group.
class RepeatedStatistics {
public:
    // *mean and *variance are those of the groups of x, and then what is to be used.
    hnorm_status repeat(const char *function, const Planes &x, const Grouping &group, const double **mean,
                        const double **variance);

private:
    Scratch memory_;
};

}  // namespace hnorm::detail
