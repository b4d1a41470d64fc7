// The CPU's work on the sums of backward: the coefficients and the gradients of parameters.
#include <algorithm>

#include "cpu.h"
#include "wide.h"

namespace hnorm::detail {

hnorm_status Cpu::gradient(const CheckedTensor &x, const Normalization &by, const Grouping &group,
                           const Values<double> &count, const GroupSums &sums, Gradient *gradient) const {
    // g1 and g2: the sums times gamma, added for all parts of a group.
    const int64_t groups = group.count(x), samples = sums.group.by == HNORM_BATCH ? 1 : x.n;
    Scratch memory;
    HNORM_TRY(memory.reserve(function, 2 * groups));
    double *const g1 = memory.data(), *const g2 = g1 + groups;
    const Values<float> &gamma = by.affine.gamma;
    if (sums.group == group) {
        for_together(samples, x.c, [&](int64_t n, int64_t c, int64_t count, int64_t first) {
            const Gathered gammas(gamma, x.c, n, c, count);
            wide([&]() HNORM_INLINED {
                for (int64_t i = 0; i < count; ++i) {
                    g1[first + i] = gammas.of[i] * sums.dy[first + i];
                    g2[first + i] = gammas.of[i] * sums.dy_xmu[first + i];
                }
            });
        });
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

hnorm_status Cpu::weigh(const Backward &b, const Slice &slice, const GroupSums &sums) const {
    if (!b.dgamma) {
        return HNORM_OK;
    }
    const int64_t samples = sums.group.by == HNORM_BATCH ? 1 : slice.n_end - slice.n_begin;
    const int64_t channels = slice.c_end - slice.c_begin;
    const Values<double> variance = b.by.variance.from(slice);
    const double eps = b.by.eps;
    for_together(samples, channels, [&](int64_t n, int64_t c, int64_t count, int64_t first) {
        const Gathered variances(variance, channels, n, c, count);
        double *const dy_xmu = sums.dy_xmu + first;
        wide([&]() HNORM_INLINED {
            for (int64_t i = 0; i < count; ++i) {
                dy_xmu[i] = dy_xmu[i] * invstd(variances.of[i], eps);
            }
        });
    });
    return HNORM_OK;
}

namespace {

// Adds rows of `width` sums to the first one. They are `stride` apart, of `count` values.
void add_rows(double *first, int64_t width, int64_t stride, int64_t count) {
    if (width == 1) {
        double sum = *first;
        for (int64_t i = stride; i < count; i += stride) {
            sum += first[i];
        }
        *first = sum;
        return;
    }
    for (int64_t i = stride; i < count; i += stride) {
        for (int64_t c = 0; c < width; ++c) {
            first[c] += first[i + c];
        }
    }
}

}  // namespace

hnorm_status Cpu::parameter_gradients(const Backward &b, const GroupSums &sums) const {
    constexpr int64_t kFewChannels = 4;
    const int64_t channels = b.x.c, parameters = b.parameters(), groups = sums.group.count(b.x);
    const auto write = [&](double *of_groups, float *gradient) {
        // If the groups of a channel share its parameters: their sum, in the first row. A sum of
        // its own for each of a few channels stays in a register.
        const int64_t together = channels < kFewChannels ? 1 : channels;
        for (int64_t c = 0; c < channels && !b.per_sample; c += together) {
            add_rows(of_groups + c, together, channels, groups);
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
