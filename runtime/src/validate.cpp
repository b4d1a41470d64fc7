#include "validate.h"

#include <cinttypes>
#include <climits>
#include <cmath>

#include "device.h"
#include "error.h"
#include "given.h"

namespace hnorm::detail {

namespace {

const float kOne = 1.0F, kZero = 0.0F;

hnorm_status check_affine_stride(const char *function, const char *name, int64_t stride) {
    if (stride < 0) {
        return fail(HNORM_INVALID_ARGUMENT, "%s: affine.%s is %" PRId64 ": it must be 0 or more", function, name,
                    stride);
    }
    if (stride > kMaxExtent) {
        return fail(HNORM_UNSUPPORTED, "%s: affine.%s is %" PRId64 ": more than %" PRId64 " are not supported",
                    function, name, stride, kMaxExtent);
    }
    return HNORM_OK;
}

int64_t affine_count(const CheckedTensor &y, int64_t stride_n, int64_t stride_c) {
    return y.empty() ? 0 : (y.n - 1) * stride_n + (y.c - 1) * stride_c + 1;
}

}  // namespace

hnorm_status read_group(const char *function, const char *name, hnorm_group group, int64_t channels,
                        Grouping *grouping) {
    const int64_t groups = groups_of_sample(group);
    if (group != HNORM_BATCH && group != HNORM_INSTANCE && groups < 1) {
        return fail(
            HNORM_INVALID_ARGUMENT,
            "%s: %s is %d: it must be HNORM_BATCH (0), HNORM_INSTANCE (1) or hnorm_groups(G), G being 1 or more",
            function, name, static_cast<int>(group));
    }
    if (groups >= 1 && channels % groups != 0) {
        return fail(HNORM_INVALID_ARGUMENT,
                    "%s: %s is hnorm_groups(%" PRId64 "), but there are %" PRId64
                    " channels: groups of equal size must make them up",
                    function, name, groups, channels);
    }
    *grouping = grouping_of(group, channels);
    return HNORM_OK;
}

hnorm_status read_one_channel(const char *function, int64_t channels, hnorm_group *group) {
    Grouping grouping;
    HNORM_TRY(read_group(function, "group", *group, channels, &grouping));
    if (grouping.together > 1) {
        return fail(
            HNORM_UNSUPPORTED,
            "%s: group is hnorm_groups(%" PRId64 ") of %" PRId64
            " channels: sums do not tell the channels of a group apart, so it must be HNORM_BATCH or HNORM_INSTANCE",
            function, channels / grouping.together, channels);
    }
    *group = grouping.by;
    return HNORM_OK;
}

hnorm_status read_activation(const char *function, const char *where, hnorm_activation activation, float negative_slope,
                             float *slope) {
    switch (static_cast<int>(activation)) {
    case HNORM_NO_ACTIVATION: *slope = 1; return HNORM_OK;
    case HNORM_RELU: *slope = 0; return HNORM_OK;
    case HNORM_LEAKY_RELU:
        if (!is_finite_from(0, static_cast<double>(negative_slope))) {
            return fail(HNORM_INVALID_ARGUMENT, "%s: %snegative_slope is %g: it must be finite and 0 or more", function,
                        where, static_cast<double>(negative_slope));
        }
        *slope = std::fabs(negative_slope);  // no -0
        return HNORM_OK;
    default:
        return fail(
            HNORM_INVALID_ARGUMENT,
            "%s: %sactivation is %d: it must be HNORM_NO_ACTIVATION (0), HNORM_RELU (1) or HNORM_LEAKY_RELU (2)",
            function, where, static_cast<int>(activation));
    }
}

hnorm_status check_eps(const char *function, const char *name, double eps) {
    if (!is_finite_from(0, eps)) {
        return fail(HNORM_INVALID_ARGUMENT, "%s: %s is %g: it must be finite and 0 or more", function, name, eps);
    }
    return HNORM_OK;
}

hnorm_status check_array(const char *function, const Array &array, hnorm_device device) {
    if (array.data == nullptr && array.count > 0) {
        return fail(HNORM_INVALID_ARGUMENT, "%s: %s is null: it must hold %" PRId64 " values", function, array.name,
                    array.count);
    }
    if (reinterpret_cast<uintptr_t>(array.data) % static_cast<uintptr_t>(array.size) != 0) {
        return fail(HNORM_INVALID_ARGUMENT,
                    "%s: %s is %p: it must be a multiple of %" PRId64 " bytes, as its elements are", function,
                    array.name, array.data, array.size);
    }
    return check_device_memory(function, array.name, "", device, array.data, array.count * array.size);
}

hnorm_status refuse_overlap(const char *function, const Array &array, const char *tensor_name) {
    return fail(HNORM_INVALID_ARGUMENT, "%s: %s (%" PRId64 " values at %p) overlaps %s: it must have its own memory",
                function, array.name, array.count, array.data, tensor_name);
}

hnorm_status refuse_overlap(const char *function, const Array &a, const Array &b) {
    return fail(HNORM_INVALID_ARGUMENT,
                "%s: %s (%" PRId64 " values at %p) overlaps %s (%" PRId64 " at %p): each must have its own memory",
                function, a.name, a.count, a.data, b.name, b.count, b.data);
}

hnorm_status read_affine(const char *function, const hnorm_affine *affine, const CheckedTensor &y, AffineView *view,
                         const char *written) {
    const bool constants = y.device == HNORM_CPU;
    *view = {{constants ? &kOne : nullptr, 0, 0}, {constants ? &kZero : nullptr, 0, 0}};
    if (affine == nullptr) {
        return HNORM_OK;
    }
    static_assert(sizeof(hnorm_affine) == First<hnorm_affine>::kSize);
    HNORM_TRY(check_size(function, "affine", *affine));
    if (y.empty() || (affine->gamma == nullptr && affine->beta == nullptr)) {
        return HNORM_OK;
    }
    const int64_t stride_n = y.n > 1 ? affine->stride_n : 0, stride_c = y.c > 1 ? affine->stride_c : 0;
    HNORM_TRY(check_affine_stride(function, "stride_n", stride_n));
    HNORM_TRY(check_affine_stride(function, "stride_c", stride_c));
    const int64_t span = affine_count(y, stride_n, stride_c);
    if (span > kMaxElements) {
        return fail(HNORM_UNSUPPORTED,
                    "%s: affine.stride_n (%" PRId64 ") and affine.stride_c (%" PRId64 ") span %" PRId64
                    " elements: more than %" PRId64 " are not supported",
                    function, stride_n, stride_c, span, kMaxElements);
    }
    const auto check = [&](const Array &array) {
        return written ? check_array(function, array, written, y) : check_array(function, array, y.device);
    };
    if (affine->gamma) {
        view->gamma = {affine->gamma, stride_n, stride_c};
        HNORM_TRY(check(gamma_array(*view, y)));
    }
    if (affine->beta) {
        view->beta = {affine->beta, stride_n, stride_c};
        HNORM_TRY(check(beta_array(*view, y)));
    }
    return HNORM_OK;
}

Array gamma_array(const AffineView &view, const CheckedTensor &y) {
    return {"affine.gamma", view.gamma.data, affine_count(y, view.gamma.stride_n, view.gamma.stride_c)};
}

Array beta_array(const AffineView &view, const CheckedTensor &y) {
    return {"affine.beta", view.beta.data, affine_count(y, view.beta.stride_n, view.beta.stride_c)};
}

hnorm_status check_group_size(const char *function, const hnorm_tensor &x, const CheckedTensor &planes,
                              const Grouping &group, const char *when) {
    if (group.size(planes) == 1) {
        return fail(HNORM_INVALID_ARGUMENT, "%s: expected more than 1 value per channel%s%s, got shape %s", function,
                    group.by == HNORM_INSTANCE ? " of a sample" : "", when, ShapeText(x).text);
    }
    return HNORM_OK;
}

}  // namespace hnorm::detail

extern "C" hnorm_group hnorm_groups(int64_t groups) {
    const bool fits = 0 < groups && groups <= INT_MAX - HNORM_GROUPS;
    return static_cast<hnorm_group>(HNORM_GROUPS + (fits ? static_cast<int>(groups) : 0));  // 0 is refused
}
