// hnorm_moments, and what it computes.
#include <algorithm>

#include "compute.h"
#include "error.h"
#include "narrow.h"
#include "threads.h"

namespace hnorm::detail {

namespace {

// By one kernel. The results of samples lie stride_n apart.
hnorm_status moments_of(const char *function, const Machine &machine, const Planes &x, hnorm_group group, double *mean,
                        double *m2, int64_t stride_n) {
    const View view = view_of(group);
    TensorBuffer x_buffer(x, view);
    GroupBuffer mean_buffer(mean, x, view, stride_n, 1), m2_buffer(m2, x, view, stride_n, 1);
    const SerialScope serial(runs_serially(machine, x));
    const bool split = x.layout == Layout::kChannelsFirst && !works_on_groups(machine, x, group);
    return kernel_status(function, kernels_of(split ? hnorm_kernels_moments_split : hnorm_kernels_moments, machine,
                                              x)[reduction_class(x)](x_buffer, mean_buffer, m2_buffer));
}

hnorm_status narrow_moments(const char *function, const Machine &machine, const Planes &x, hnorm_group group,
                            double *mean, double *m2) {
    NarrowResults results(x, group);
    HNORM_TRY(results.reserve(function));
    HNORM_TRY(results.fill(is_narrow_and_dense({&x}), [&](const auto &of, int64_t i) {
        return moments_of(function, machine, of(x), group, results.first(i), results.second(i), results.stride_n());
    }));
    const auto total = static_cast<double>(x.group_size(group));
    const auto part_size = static_cast<double>(narrow_part(x, 0).group_size(group));
    const auto rest_size = static_cast<double>(narrow_remainder(x).group_size(group));
    results.for_each_group([&](const double *part_mean, const double *part_m2, int64_t g) {
        const auto count = [&](int64_t i) { return i < kNarrowParts ? part_size : rest_size; };
        double sum = 0;
        for (int64_t i = 0; i < results.parts(); ++i) {
            sum += (part_mean[i * x.c] - part_mean[0]) * count(i);
        }
        mean[g] = part_mean[0] + sum / total;
        m2[g] = 0;
        for (int64_t i = 0; i < results.parts(); ++i) {
            const double off = part_mean[i * x.c] - mean[g];
            m2[g] += part_m2[i * x.c] + (count(i) * off) * off;
        }
    });
    return HNORM_OK;
}

hnorm_status moments_in_order(const char *function, const Machine &machine, const Planes &x, hnorm_group group,
                              bool narrow, double *mean, double *m2) {
    return narrow ? narrow_moments(function, machine, x, group, mean, m2)
                  : moments_of(function, machine, x, group, mean, m2, x.c);
}

}  // namespace

hnorm_status compute_moments(const char *function, const Machine &machine, const Planes &x, hnorm_group group,
                             double *mean, double *m2) {
    if (!is_one_plane(x, group)) {
        return moments_in_order(function, machine, x, group, is_narrow({&x}), mean, m2);
    }
    const Planes plane = one_plane(x);
    const bool narrow = is_narrow({&plane});
    // Channels that are apart are summed one by one, for their kernel wants them adjacent.
    const int64_t step = x.layout == Layout::kChannelsLast ? x.c : 1;
    for (int64_t c = 0; c < x.c; c += step) {
        const Planes part = one_plane(cropped(x, {0, x.n, c, c + step}));
        HNORM_TRY(moments_in_order(function, machine, part, HNORM_INSTANCE, narrow, mean + c, m2 + c));
    }
    return HNORM_OK;
}

}  // namespace hnorm::detail

using namespace hnorm::detail;

extern "C" {

hnorm_status hnorm_moments(const hnorm_tensor *x, hnorm_group group, double *count, double *mean, double *m2) {
    const char *const function = "hnorm_moments";
    Planes planes;
    HNORM_TRY(read_tensor(function, "x", x, &planes));
    HNORM_TRY(check_group(function, group));
    const int64_t groups = planes.groups(group);
    const Array counts("count", count, groups), means("mean", mean, groups), m2s("m2", m2, groups);
    for (const Array *array : {&counts, &means, &m2s}) {
        HNORM_TRY(check_array(function, *array, "x", planes));
    }
    HNORM_TRY(check_apart(function, counts, means, planes.device));
    HNORM_TRY(check_apart(function, counts, m2s, planes.device));
    HNORM_TRY(check_apart(function, means, m2s, planes.device));
    Machine machine;
    HNORM_TRY(find_machine(function, planes.device, &machine));
    const double elements = planes.empty() ? 0.0 : static_cast<double>(planes.group_size(group));
    if (machine.device) {
        if (planes.empty()) {
            HNORM_TRY(machine.device->fill_doubles(function, mean, groups, 0));
            HNORM_TRY(machine.device->fill_doubles(function, m2, groups, 0));
        } else {
            HNORM_TRY(machine.device->moments(function, planes, group, 1, mean, m2));
        }
        return machine.device->fill_doubles(function, count, groups, elements);
    }
    if (planes.empty()) {
        std::fill_n(mean, groups, 0.0);
        std::fill_n(m2, groups, 0.0);
    } else {
        HNORM_TRY(compute_moments(function, machine, planes, group, mean, m2));
    }
    std::fill_n(count, groups, elements);
    return HNORM_OK;
}

}  // extern "C"
