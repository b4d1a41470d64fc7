// Validation of the arguments that are not tensors. Messages name the argument, its value and what
// is allowed.
#pragma once

#include <cmath>

#include "error.h"
#include "overlap.h"
#include "values.h"

namespace hnorm::detail {

// An array argument: `count` elements of `size` bytes.
struct Array {
    Array(const char *its_name, const double *its_data, int64_t its_count)
        : name(its_name), data(its_data), count(its_count), size(sizeof(double)) {}
    Array(const char *its_name, const float *its_data, int64_t its_count)
        : name(its_name), data(its_data), count(its_count), size(sizeof(float)) {}

    // As numbers: those of different arrays are compared.
    uintptr_t begin() const { return reinterpret_cast<uintptr_t>(data); }
    uintptr_t end() const { return begin() + static_cast<uintptr_t>(count * size); }

    const char *name;
    const void *data;
    int64_t count, size;
};

// Reads a group argument, which messages call `name`, for tensors with this number of channels.
hnorm_status read_group(const char *function, const char *name, hnorm_group group, int64_t channels,
                        Grouping *grouping);
// Reads the group of a function that takes or gives sums. Sums do not tell the channels of a group
// apart, so a group must have one channel: *group becomes HNORM_BATCH or HNORM_INSTANCE.
hnorm_status read_one_channel(const char *function, int64_t channels, hnorm_group *group);
// The slope of an activation: 1 for none, 0 for ReLU. `where` comes before the arguments' names: ""
// or "post.".
hnorm_status read_activation(const char *function, const char *where, hnorm_activation activation, float negative_slope,
                             float *slope);
// Whether a number is finite and at least `least`. This runs in the caller's floating-point
// environment, so it uses comparisons that raise no exception, also if a NaN would trap.
inline bool is_finite_from(double least, double value) {
    return std::isgreaterequal(value, least) && std::isless(value, HUGE_VAL);
}
hnorm_status check_eps(const char *function, const char *name, double eps);

// Not null unless it has no elements, aligned, and memory of the device.
hnorm_status check_array(const char *function, const Array &array, hnorm_device device);
// What fails where they have a byte in common.
hnorm_status refuse_overlap(const char *function, const Array &a, const Array &b);
hnorm_status refuse_overlap(const char *function, const Array &array, const char *tensor_name);
// No byte in common; null arrays share nothing.
inline hnorm_status check_apart(const char *function, const Array &a, const Array &b, hnorm_device device) {
    const bool meet = opaque(device) ? a.data == b.data : a.begin() < b.end() && b.begin() < a.end();
    return meet && a.data && b.data && a.count > 0 && b.count > 0 ? refuse_overlap(function, a, b) : HNORM_OK;
}
inline hnorm_status check_apart(const char *function, const Array &array, const char *tensor_name,
                                const CheckedTensor &tensor) {
    const bool meet = array.data != nullptr && touches(tensor, array.begin(), array.end());
    return meet ? refuse_overlap(function, array, tensor_name) : HNORM_OK;
}
// Does check_array on the device of the tensor, and checks that the array and the tensor share no
// byte.
inline hnorm_status check_array(const char *function, const Array &array, const char *tensor_name,
                                const CheckedTensor &tensor) {
    HNORM_TRY(check_array(function, array, tensor.device));
    return check_apart(function, array, tensor_name, tensor);
}

// Reads affine, which may be null, as may its gamma and beta. If the call writes y, `written` is
// its name, and gamma and beta must not overlap y. If it does not, `written` is null.
hnorm_status read_affine(const char *function, const hnorm_affine *affine, const CheckedTensor &y, AffineView *view,
                         const char *written = "y");
// The values of an affine as arrays, for check_apart: from the first to the last, padding included.
Array gamma_array(const AffineView &view, const CheckedTensor &y);
Array beta_array(const AffineView &view, const CheckedTensor &y);

// Groups of one value have no variance. `when` is "" or " in training".
hnorm_status check_group_size(const char *function, const hnorm_tensor &x, const CheckedTensor &planes,
                              const Grouping &group, const char *when);

}  // namespace hnorm::detail
