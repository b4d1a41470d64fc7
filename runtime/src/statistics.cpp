// Merging of moments.
#include <cinttypes>
#include <cmath>

#include "error.h"
#include "float_environment.h"
#include "merge.h"
#include "validate.h"

using namespace hnorm::detail;

namespace {

hnorm_status check_counts(const char *function, const char *name, const double *counts, int64_t groups) {
    for (int64_t i = 0; i < groups; ++i) {
        if (!is_finite_from(0, counts[i])) {
            return fail(HNORM_INVALID_ARGUMENT, "%s: %s[%" PRId64 "] is %g: it must be finite and 0 or more", function,
                        name, i, counts[i]);
        }
    }
    return HNORM_OK;
}

}  // namespace

extern "C" hnorm_status hnorm_merge_moments(int64_t groups, double *count, double *mean, double *m2,
                                            const double *other_count, const double *other_mean,
                                            const double *other_m2) {
    const char *const function = "hnorm_merge_moments";
    if (groups < 0) {
        return fail(HNORM_INVALID_ARGUMENT, "%s: groups is %" PRId64 ": it must be 0 or more", function, groups);
    }
    if (groups > kMaxExtent) {
        return fail(HNORM_UNSUPPORTED, "%s: groups is %" PRId64 ": more than %" PRId64 " are not supported", function,
                    groups, kMaxExtent);
    }
    const Array written[] = {{"count", count, groups}, {"mean", mean, groups}, {"m2", m2, groups}};
    const Array read[] = {
        {"other_count", other_count, groups}, {"other_mean", other_mean, groups}, {"other_m2", other_m2, groups}};
    for (int i = 0; i < 3; ++i) {
        HNORM_TRY(check_array(function, written[i], HNORM_CPU));
        HNORM_TRY(check_array(function, read[i], HNORM_CPU));
    }
    for (int i = 0; i < 3; ++i) {
        HNORM_TRY(check_apart(function, written[i], written[(i + 1) % 3], HNORM_CPU));
        for (const Array &other : read) {
            HNORM_TRY(check_apart(function, written[i], other, HNORM_CPU));
        }
    }
    HNORM_TRY(check_counts(function, "count", count, groups));
    HNORM_TRY(check_counts(function, "other_count", other_count, groups));
    const FloatEnvironment floats;
    for (int64_t i = 0; i < groups; ++i) {
        merge_moments(count + i, mean + i, m2 + i, other_count[i], other_mean[i], other_m2[i]);
    }
    return HNORM_OK;
}
