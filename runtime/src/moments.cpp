// hnorm_moments, and what it computes.
#include <algorithm>

#include "compute.h"
#include "error.h"
#include "threads.h"

namespace hnorm::detail {

hnorm_status compute_moments(const char *function, const Machine &machine, const Planes &x, hnorm_group group,
                             double *mean, double *m2) {
    if (is_one_plane(x, group)) {
        // Channels that are apart are summed one by one, for their kernel wants them adjacent.
        const int64_t step = x.layout == Layout::kChannelsLast ? x.c : 1;
        for (int64_t c = 0; c < x.c; c += step) {
            const Planes part = one_plane(cropped(x, {0, x.n, c, c + step}));
            HNORM_TRY(compute_moments(function, machine, part, HNORM_INSTANCE, mean + c, m2 + c));
        }
        return HNORM_OK;
    }
    const View view = view_of(group);
    TensorBuffer x_buffer(x, view);
    GroupBuffer mean_buffer(mean, x, view, x.c, 1), m2_buffer(m2, x, view, x.c, 1);
    const SerialScope serial(runs_serially(machine, x));
    const bool split = x.layout == Layout::kChannelsFirst && !works_on_groups(machine, x, group);
    return kernel_status(function, kernels_of(split ? hnorm_kernels_moments_split : hnorm_kernels_moments, machine,
                                              x)[reduction_class(x)](x_buffer, mean_buffer, m2_buffer));
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
    HNORM_TRY(check_apart(function, counts, means));
    HNORM_TRY(check_apart(function, counts, m2s));
    HNORM_TRY(check_apart(function, means, m2s));
    Machine machine;
    HNORM_TRY(find_machine(function, &machine));
    if (planes.empty()) {
        std::fill_n(mean, groups, 0.0);
        std::fill_n(m2, groups, 0.0);
    } else {
        HNORM_TRY(compute_moments(function, machine, planes, group, mean, m2));
    }
    std::fill_n(count, groups, planes.empty() ? 0.0 : static_cast<double>(planes.group_size(group)));
    return HNORM_OK;
}

}  // extern "C"
