// Batch and instance norm from their definitions, in long double over strided (N, C, S) tensors: what the results should
// be near to. Written without looking at the kernels' order: two plain passes over each group.
#pragma once

#include "tensor.h"

#include <cmath>
#include <cstdint>
#include <vector>

namespace reference {

struct Statistics {
    int64_t count = 0;
    long double mean = 0;
    long double variance = 0;  // biased
};

// Calls visit(n, c, s) for every element of group g (hnorm.h: c for batch, n*C + c for instance).
template <typename Visit>
void for_each_in_group(const test::Tensor &x, hnorm_group group, int64_t g, Visit visit) {
    const int64_t c = group == HNORM_BATCH ? g : g % x.channels();
    const int64_t first = group == HNORM_BATCH ? 0 : g / x.channels();
    const int64_t last = group == HNORM_BATCH ? x.samples() : first + 1;
    for (int64_t n = first; n < last; n++)
        for (int64_t s = 0; s < x.positions(); s++) visit(n, c, s);
}

inline int64_t groups(const test::Tensor &x, hnorm_group group) {
    return group == HNORM_BATCH ? x.channels() : x.samples() * x.channels();
}

inline Statistics statistics(const test::Tensor &x, hnorm_group group, int64_t g) {
    Statistics result;
    long double sum = 0;
    for_each_in_group(x, group, g, [&](int64_t n, int64_t c, int64_t s) {
        sum += static_cast<long double>(x.at(n, c, s));
        result.count++;
    });
    if (result.count == 0) return result;
    result.mean = sum / static_cast<long double>(result.count);
    long double squares = 0;
    for_each_in_group(x, group, g, [&](int64_t n, int64_t c, int64_t s) {
        const long double deviation = static_cast<long double>(x.at(n, c, s)) - result.mean;
        squares += deviation * deviation;
    });
    result.variance = squares / static_cast<long double>(result.count);
    return result;
}

}  // namespace reference
