// The CPU's work on the sums of backward: the coefficients and the gradients of parameters.
#include <algorithm>

#include "cpu.h"
#include "wide.h"

namespace hnorm::detail {

hnorm_status Cpu::gradient(const Planes &x, const Normalization &by, const Grouping &group, const Values<double> &count,
                           const GroupSums &sums, Gradient *gradient) const {
    // g1 and g2: the sums times gamma, added for all parts of a group.
    const int64_t groups = group.count(x), samples = sums.group.by == HNORM_BATCH ? 1 : x.n;
    Scratch memory;
    HNORM_TRY(memory.reserve(function, 2 * groups));
    double *const g1 = memory.data(), *const g2 = g1 + groups;
    const Values<float> &gamma = by.affine.gamma;
    if (sums.group == group) {
        for (int64_t n = 0; n < samples; ++n) {
            const float *const of_sample = gamma.data + n * gamma.stride_n;
            const int64_t first = n * x.c, stride_c = gamma.stride_c;
            wide([&]() HNORM_INLINED {
                for (int64_t c = 0; c < x.c; ++c) {
                    const double factor = static_cast<double>(of_sample[c * stride_c]);
                    g1[first + c] = factor * sums.dy[first + c];
                    g2[first + c] = factor * sums.dy_xmu[first + c];
                }
            });
        }
    } else {
        std::fill_n(g1, 2 * groups, 0.0);
        for (int64_t n = 0, i = 0; n < samples; ++n) {
            int64_t to = n * group.stride_n(x);
            for (int64_t first = 0; first < x.c; first += group.together, ++to) {
                for (int64_t c = first; c < first + group.together; ++c, ++i) {
                    const double factor = static_cast<double>(gamma.at(n, c));
                    g1[to] += factor * sums.dy[i];
                    g2[to] += factor * sums.dy_xmu[i];
                }
            }
        }
    }
    return gradient->compute(function, x, by, {group_values(g1, x, group), group_values(g2, x, group), count});
}

hnorm_status Cpu::weigh(const Backward &b, const Range &range, const GroupSums &sums) const {
    if (!b.dgamma) {
        return HNORM_OK;
    }
    const int64_t samples = sums.group.by == HNORM_BATCH ? 1 : range.n_end - range.n_begin;
    const int64_t channels = range.c_end - range.c_begin;
    const Normalization by = b.by.from(range);
    for (int64_t n = 0; n < samples; ++n) {
        double *const of_sample = sums.dy_xmu + n * sums.group.stride_n(b.x);
        const Values<double> variance = by.variance.from({n, n + 1, 0, channels});
        wide([&]() HNORM_INLINED {
            if (variance.together == 1 && variance.stride_c == 1) {  // vectors
                for (int64_t c = 0; c < channels; ++c) {
                    of_sample[c] *= invstd(variance.data[c], by.eps);
                }
                return;
            }
            for (int64_t c = 0; c < channels; ++c) {
                of_sample[c] *= invstd(variance.at(0, c), by.eps);
            }
        });
    }
    return HNORM_OK;
}

hnorm_status Cpu::parameter_gradients(const Backward &b, const GroupSums &sums) const {
    const int64_t channels = b.x.c, parameters = b.parameters(), groups = sums.group.count(b.x);
    const auto write = [&](double *of_groups, float *gradient) {
        // If the groups of a channel share its parameters: their sum, in the first row.
        for (int64_t first = channels; first < groups && !b.per_sample; first += channels) {
            for (int64_t c = 0; c < channels; ++c) {
                of_groups[c] += of_groups[first + c];
            }
        }
        if (!b.add) {
            std::copy_n(of_groups, parameters, gradient);
            return;
        }
        for (int64_t i = 0; i < parameters; ++i) {
            gradient[i] += static_cast<float>(of_groups[i]);
        }
    };
    if (b.dgamma) {
        write(sums.dy_xmu, b.dgamma);
    }
    if (b.dbeta) {
        write(sums.dy, b.dbeta);
    }
    return HNORM_OK;
}

}  // namespace hnorm::detail
