#include "tensor.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <functional>
#include <numeric>

#include "error.h"

namespace hnorm::detail {

namespace {

int64_t floor_divide(int64_t a, int64_t b) { return a / b - (a % b < 0); }

// Whether low <= i*stride_i + j*stride_j <= high for some 0 <= i < count_i, 0 <= j < count_j; strides are not negative.
// Exact; visits one of the two axes, the shorter.
bool any_offset_in(int64_t low, int64_t high, int64_t count_i, int64_t stride_i, int64_t count_j, int64_t stride_j) {
    if (count_i > count_j) {
        std::swap(count_i, count_j);
        std::swap(stride_i, stride_j);
    }
    for (int64_t i = 0; i < count_i; ++i) {
        const int64_t from = low - i * stride_i, to = high - i * stride_i;
        if (stride_j == 0) {
            if (from <= 0 && 0 <= to) {
                return true;
            }
            continue;
        }
        const int64_t first = std::max<int64_t>(floor_divide(from + stride_j - 1, stride_j), 0);
        const int64_t last = std::min(floor_divide(to, stride_j), count_j - 1);
        if (first <= last) {
            return true;
        }
    }
    return false;
}

// Whether two planes of this layout meet when one copy of the tensor lies `shift` elements after the other.
bool planes_meet(const Planes &p, int64_t shift) {
    // Differences of plane indices run from -(n-1) to n-1 and from -(c-1) to c-1: shifted here to start at 0.
    const int64_t origin = shift + (p.n - 1) * p.stride_n + (p.c - 1) * p.stride_c;
    return any_offset_in(origin - (p.s - 1), origin + (p.s - 1), 2 * p.n - 1, p.stride_n, 2 * p.c - 1, p.stride_c);
}

bool same_layout(const Planes &a, const Planes &b) { return a.stride_n == b.stride_n && a.stride_c == b.stride_c; }

// Elements from a's start to b's.
int64_t shift_between(const Planes &a, const Planes &b) {
    return (reinterpret_cast<intptr_t>(b.data) - reinterpret_cast<intptr_t>(a.data)) /
           static_cast<int64_t>(sizeof(float));
}

// Whether two different planes of the tensor share an element.
bool overlaps_itself(const Planes &p) {
    // The usual case, without a search: one axis steps over whole planes, the other over everything the first covers.
    const auto nested = [&](int64_t inner, int64_t inner_stride, int64_t outer, int64_t outer_stride) {
        return (inner == 1 || inner_stride >= p.s) && (outer == 1 || outer_stride >= (inner - 1) * inner_stride + p.s);
    };
    if (nested(p.c, p.stride_c, p.n, p.stride_n) || nested(p.n, p.stride_n, p.c, p.stride_c)) {
        return false;
    }
    // Two planes differ in n, or in c alone; by symmetry only later planes need to be tried.
    if (p.c > 1 && p.stride_c < p.s) {
        return true;
    }
    const int64_t origin = (p.c - 1) * p.stride_c - p.stride_n;
    return any_offset_in(origin - (p.s - 1), origin + (p.s - 1), p.n - 1, p.stride_n, 2 * p.c - 1, p.stride_c);
}

hnorm_status check_shape(const char *function, const char *name, const hnorm_tensor &t) {
    if (static_cast<int>(t.type) != HNORM_F32) {
        return fail(HNORM_UNSUPPORTED, "%s: %s.type is %d: this build has HNORM_F32 (0)", function, name,
                    static_cast<int>(t.type));
    }
    if (static_cast<int>(t.device) != HNORM_CPU) {
        return fail(HNORM_UNSUPPORTED, "%s: %s.device is %d: this build has HNORM_CPU (0)", function, name,
                    static_cast<int>(t.device));
    }
    if (t.rank < 2 || t.rank > HNORM_MAX_RANK) {
        return fail(HNORM_INVALID_ARGUMENT, "%s: %s.rank is %d: it must be 2 to %d, (N, C, spatial...)", function, name,
                    t.rank, HNORM_MAX_RANK);
    }
    bool empty = false;
    for (int axis = 0; axis < t.rank; ++axis) {
        if (t.shape[axis] < 0) {
            return fail(HNORM_INVALID_ARGUMENT, "%s: %s.shape[%d] is %" PRId64 ": extents are 0 or more", function,
                        name, axis, t.shape[axis]);
        }
        empty |= t.shape[axis] == 0;
    }
    // An empty tensor may have spatial extents of any size, but still has statistics for each group.
    int64_t elements = 1;
    for (int axis = 0; axis < (empty ? 2 : t.rank); ++axis) {
        if (t.shape[axis] > kMaxElements || elements * t.shape[axis] > kMaxElements) {
            return fail(HNORM_UNSUPPORTED, "%s: %s.shape is %s: more than %" PRId64 " elements are not supported",
                        function, name, ShapeText(t).text, kMaxElements);
        }
        elements *= t.shape[axis];
    }
    return HNORM_OK;
}

hnorm_status check_strides(const char *function, const char *name, const hnorm_tensor &t) {
    int64_t dense = 1;
    for (int axis = t.rank - 1; axis >= 2; --axis) {
        if (t.shape[axis] > 1 && t.strides[axis] != dense) {
            return fail(HNORM_INVALID_ARGUMENT,
                        "%s: %s.strides[%d] is %" PRId64
                        ": spatial axes must be dense, so with %s.shape %s it must be "
                        "%" PRId64,
                        function, name, axis, t.strides[axis], name, ShapeText(t).text, dense);
        }
        dense *= t.shape[axis];
    }
    for (int axis = 0; axis < 2; ++axis) {
        if (t.shape[axis] > 1 && t.strides[axis] < 0) {
            return fail(HNORM_INVALID_ARGUMENT, "%s: %s.strides[%d] is %" PRId64 ": negative strides are not allowed",
                        function, name, axis, t.strides[axis]);
        }
    }
    return HNORM_OK;
}

hnorm_status check_memory(const char *function, const char *name, const hnorm_tensor &t, const Planes &p) {
    for (int axis = 0; axis < 2; ++axis) {
        // Halide limits extent times stride of each axis. Divided, since the product may not fit.
        if (t.shape[axis] > 1 && t.strides[axis] > kMaxElements / t.shape[axis]) {
            return fail(HNORM_UNSUPPORTED,
                        "%s: %s.strides[%d] is %" PRId64 " with %s.shape %s: spans of more than %" PRId64
                        " elements are not supported",
                        function, name, axis, t.strides[axis], name, ShapeText(t).text, kMaxElements);
        }
    }
    if (p.span() > kMaxElements) {
        return fail(HNORM_UNSUPPORTED,
                    "%s: %s.strides (%" PRId64 ", %" PRId64 ", ...) with %s.shape %s span %" PRId64
                    " elements: more than %" PRId64 " are not supported",
                    function, name, p.stride_n, p.stride_c, name, ShapeText(t).text, p.span(), kMaxElements);
    }
    if (overlaps_itself(p)) {
        // The axis that steps into planes, or else the outer one, which steps into what the other covers.
        const bool inside_c = p.c > 1 && p.stride_c < p.s, inside_n = p.n > 1 && p.stride_n < p.s;
        const int axis = inside_c || (!inside_n && p.stride_c > p.stride_n) ? 1 : 0;
        return fail(HNORM_INVALID_ARGUMENT,
                    "%s: %s.strides[%d] is %" PRId64 " with %s.shape %s and %s.strides[%d] %" PRId64
                    ": elements overlap, each must have memory of its own",
                    function, name, axis, t.strides[axis], name, ShapeText(t).text, name, 1 - axis,
                    t.strides[1 - axis]);
    }
    if (p.data == nullptr) {
        return fail(HNORM_INVALID_ARGUMENT,
                    "%s: %s.data is null, and %s.shape is %s: only an empty tensor may have none", function, name, name,
                    ShapeText(t).text);
    }
    if (reinterpret_cast<uintptr_t>(p.data) % alignof(float) != 0) {
        return fail(HNORM_INVALID_ARGUMENT, "%s: %s.data is %p: it must be a multiple of %zu bytes, as floats are",
                    function, name, static_cast<void *>(p.data), alignof(float));
    }
    return HNORM_OK;
}

}  // namespace

ShapeText::ShapeText(const hnorm_tensor &tensor) {
    size_t used = 0;
    text[0] = '\0';
    for (int axis = 0; axis < tensor.rank; ++axis) {
        const char *before = axis == 0 ? "(" : ", ", *after = axis == tensor.rank - 1 ? ")" : "";
        const int wrote =
            std::snprintf(text + used, sizeof text - used, "%s%" PRId64 "%s", before, tensor.shape[axis], after);
        used = std::min(used + static_cast<size_t>(wrote), sizeof text - 1);
    }
}

hnorm_status read_tensor(const char *function, const char *name, const hnorm_tensor *tensor, Planes *planes) {
    if (tensor == nullptr) {
        return fail(HNORM_INVALID_ARGUMENT, "%s: %s is null: a tensor is needed", function, name);
    }
    HNORM_TRY(check_shape(function, name, *tensor));
    const int64_t *const spatial = tensor->shape + 2, *const end = tensor->shape + tensor->rank;
    Planes p{static_cast<float *>(tensor->data), tensor->shape[0], tensor->shape[1], 0, 0, 0};
    if (std::find(tensor->shape, end, 0) == end) {
        p.s = std::accumulate(spatial, end, int64_t(1), std::multiplies<>());
        p.stride_n = p.n > 1 ? tensor->strides[0] : 0;
        p.stride_c = p.c > 1 ? tensor->strides[1] : 0;
        HNORM_TRY(check_strides(function, name, *tensor));
        HNORM_TRY(check_memory(function, name, *tensor, p));
    }
    *planes = p;
    return HNORM_OK;
}

hnorm_status check_same_shape(const char *function, const NamedTensor &x, const NamedTensor &y) {
    const hnorm_tensor &a = *x.tensor, &b = *y.tensor;
    if (a.rank != b.rank || !std::equal(a.shape, a.shape + a.rank, b.shape)) {
        return fail(HNORM_INVALID_ARGUMENT, "%s: %s.shape is %s but %s.shape is %s: they must be equal", function,
                    y.name, ShapeText(b).text, x.name, ShapeText(a).text);
    }
    return HNORM_OK;
}

hnorm_status check_places(const char *function, const NamedTensor &x, const NamedTensor &y) {
    const Planes &a = x.planes, &b = y.planes;
    if (a.empty() || (same_layout(a, b) && a.data == b.data) || !touches(a, b.data, b.data + b.span())) {
        return HNORM_OK;
    }
    if (!same_layout(a, b)) {
        return fail(HNORM_INVALID_ARGUMENT,
                    "%s: %s lies within %s but has other strides, (%" PRId64 ", %" PRId64 ", ...) and not (%" PRId64
                    ", %" PRId64 ", ...): %s must be %s or share no memory with it",
                    function, y.name, x.name, y.tensor->strides[0], y.tensor->strides[1], x.tensor->strides[0],
                    x.tensor->strides[1], y.name, x.name);
    }
    const int64_t shift = shift_between(a, b);
    if (planes_meet(a, shift)) {
        return fail(HNORM_INVALID_ARGUMENT,
                    "%s: %s overlaps %s, %" PRId64
                    " elements from its start: %s must be %s or share no element with it",
                    function, y.name, x.name, shift, y.name, x.name);
    }
    return HNORM_OK;
}

hnorm_status check_disjoint(const char *function, const NamedTensor &x, const NamedTensor &y) {
    const Planes &a = x.planes, &b = y.planes;
    if (a.empty() || !touches(a, b.data, b.data + b.span()) ||
        (same_layout(a, b) && !planes_meet(a, shift_between(a, b)))) {
        return HNORM_OK;
    }
    return fail(HNORM_INVALID_ARGUMENT,
                "%s: %s (%" PRId64 " elements from %p) overlaps %s (from %p): each must have its own memory", function,
                y.name, b.span(), static_cast<void *>(b.data), x.name, static_cast<void *>(a.data));
}

hnorm_status read_pair(const char *function, const hnorm_tensor *x, const hnorm_tensor *y, Planes *x_planes,
                       Planes *y_planes) {
    HNORM_TRY(read_tensor(function, "x", x, x_planes));
    HNORM_TRY(read_tensor(function, "y", y, y_planes));
    const NamedTensor in = {"x", x, *x_planes}, out = {"y", y, *y_planes};
    HNORM_TRY(check_same_shape(function, in, out));
    return check_places(function, in, out);
}

bool touches(const Planes &planes, const void *begin, const void *end) {
    if (planes.empty()) {
        return false;
    }
    const auto from = reinterpret_cast<intptr_t>(begin) - reinterpret_cast<intptr_t>(planes.data);
    const auto to = reinterpret_cast<intptr_t>(end) - reinterpret_cast<intptr_t>(planes.data);
    constexpr int64_t size = sizeof(float);
    if (from >= to || from >= planes.span() * size || to <= 0) {
        return false;
    }
    // The plane at offset o covers the bytes [o, o + s) * size: it meets [from, to) where o*size < to and
    // (o + s)*size > from.
    const int64_t low = floor_divide(from, size) - planes.s + 1, high = floor_divide(to - 1, size);
    return any_offset_in(low, high, planes.n, planes.stride_n, planes.c, planes.stride_c);
}

}  // namespace hnorm::detail
