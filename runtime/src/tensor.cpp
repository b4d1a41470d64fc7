#include "tensor.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>

#include "device.h"
#include "error.h"
#include "given.h"
#include "kernels.h"
#include "overlap.h"

namespace hnorm::detail {

namespace {

const char *type_name(hnorm_type type) {
    return type == HNORM_F32 ? "HNORM_F32" : type == HNORM_F16 ? "HNORM_F16" : "HNORM_BF16";
}

const char *layout_name(Layout layout) { return layout == Layout::kChannelsFirst ? "channels-first" : "channels-last"; }

// Reads the extents. s is 0 if any of them is.
hnorm_status read_shape(const char *function, const char *name, const hnorm_tensor &t, CheckedTensor *p) {
    const int type = static_cast<int>(t.type);
    if (type < 0 || type >= kElementTypes || !hnorm_has_type[type]) {
        return fail(HNORM_UNSUPPORTED, "%s: %s.type is %d: this build has %s", function, name, type,
                    hnorm_types_in_words);
    }
    HNORM_TRY(check_device(function, name, t.device));
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
    // Of extents; kMaxExtent + 1 for any that is more.
    const auto product = [](int64_t a, int64_t b) {
        return b > kMaxExtent || a * b > kMaxExtent ? kMaxExtent + 1 : a * b;
    };
    // An empty tensor may have spatial extents of any size, but still has statistics for each
    // group.
    const int64_t groups = product(product(1, t.shape[0]), t.shape[1]);
    int64_t positions = empty ? 0 : 1;
    for (int axis = 2; axis < t.rank && !empty; ++axis) {
        positions = product(positions, t.shape[axis]);
    }
    if (groups > kMaxExtent || positions > kMaxExtent) {
        return fail(HNORM_UNSUPPORTED, "%s: %s.shape is %s: %s of more than %" PRId64 " are not supported", function,
                    name, ShapeText(t).text, groups > kMaxExtent ? "N*C" : "planes", kMaxExtent);
    }
    if (groups * positions > kMaxElements) {
        return fail(HNORM_UNSUPPORTED, "%s: %s.shape is %s: more than %" PRId64 " elements are not supported", function,
                    name, ShapeText(t).text, kMaxElements);
    }
    p->n = t.shape[0];
    p->c = t.shape[1];
    p->s = positions;
    return HNORM_OK;
}

// Finds the layout and the distance of positions.
hnorm_status read_layout(const char *function, const char *name, const hnorm_tensor &t, CheckedTensor *p) {
    for (int axis = 0; axis < 2; ++axis) {
        if (t.shape[axis] > 1 && t.strides[axis] < 0) {
            return fail(HNORM_INVALID_ARGUMENT, "%s: %s.strides[%d] is %" PRId64 ": negative strides are not allowed",
                        function, name, axis, t.strides[axis]);
        }
    }
    // The innermost spatial axis that has more than one position says how far apart positions are.
    int innermost = t.rank - 1;
    while (innermost >= 2 && t.shape[innermost] == 1) {
        --innermost;
    }
    const int64_t distance = innermost < 2 ? 1 : t.strides[innermost];
    const bool adjacent_channels = p->c == 1 || t.strides[1] == 1;
    const bool last = innermost < 2 ? adjacent_channels : adjacent_channels && (p->c > 1 || distance != 1);
    p->layout = last ? Layout::kChannelsLast : Layout::kChannelsFirst;
    p->stride_s = last && innermost >= 2 ? distance : 1;
    if (last && distance < p->c && innermost >= 2) {
        return fail(HNORM_INVALID_ARGUMENT,
                    "%s: %s.strides[%d] is %" PRId64
                    ": channels are adjacent (strides[1] is 1), so with %s.shape %s it must "
                    "be %" PRId64 " or more",
                    function, name, innermost, distance, name, ShapeText(t).text, p->c);
    }
    // Samples of planes of one position are batch norm's positions.
    const int axis_of_positions = innermost < 2 ? 0 : innermost;
    if (last && t.shape[axis_of_positions] > 1 && t.strides[axis_of_positions] > kMaxPositionStride) {
        return fail(HNORM_UNSUPPORTED,
                    "%s: %s.strides[%d] is %" PRId64
                    ": channels are adjacent (strides[1] is 1), and then more than %" PRId64 " are not supported",
                    function, name, axis_of_positions, t.strides[axis_of_positions], kMaxPositionStride);
    }
    int64_t dense = p->stride_s;
    for (int axis = innermost; axis >= 2; --axis) {
        if (t.shape[axis] > 1 && t.strides[axis] != dense) {
            return fail(HNORM_INVALID_ARGUMENT,
                        "%s: %s.strides[%d] is %" PRId64
                        ": spatial axes must be dense, so with %s.shape %s it must be %" PRId64 "%s",
                        function, name, axis, t.strides[axis], name, ShapeText(t).text, dense,
                        last && p->c > 1 ? " (channels-last: strides[1] is 1)" : "");
        }
        dense *= t.shape[axis];
    }
    return HNORM_OK;
}

hnorm_status check_memory(const char *function, const char *name, const hnorm_tensor &t, const CheckedTensor &p) {
    for (int axis = 0; axis < 2; ++axis) {
        if (t.shape[axis] > 1 && t.strides[axis] > kMaxExtent) {
            return fail(HNORM_UNSUPPORTED, "%s: %s.strides[%d] is %" PRId64 ": more than %" PRId64 " are not supported",
                        function, name, axis, t.strides[axis], kMaxExtent);
        }
    }
    if (p.span() > kMaxElements) {
        return fail(HNORM_UNSUPPORTED,
                    "%s: %s.strides (%" PRId64 ", %" PRId64 ", ...) with %s.shape %s span %" PRId64
                    " elements: more than %" PRId64 " are not supported",
                    function, name, p.stride_n, p.stride_c, name, ShapeText(t).text, p.span(), kMaxElements);
    }
    if (overlaps_itself(p)) {
        // The axis that steps into planes, or else the outer one, which steps into what the other
        // covers.
        const bool first = p.layout == Layout::kChannelsFirst;
        const bool inside_c = first && p.c > 1 && p.stride_c < p.s;
        const bool inside_n = p.n > 1 && (!first || p.stride_n < p.s);
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
    if (reinterpret_cast<uintptr_t>(p.data) % static_cast<uintptr_t>(p.element_size()) != 0) {
        return fail(HNORM_INVALID_ARGUMENT, "%s: %s.data is %p: it must be a multiple of %" PRId64 " bytes, as %s are",
                    function, name, static_cast<void *>(p.data), p.element_size(),
                    p.type == HNORM_F32 ? "floats" : "its elements");
    }
    if (p.device != HNORM_CPU && p.span() > kMaxDeviceElements) {
        return fail(HNORM_UNSUPPORTED,
                    "%s: %s spans %" PRId64 " elements: more than %" PRId64 " are not supported on devices", function,
                    name, p.span(), kMaxDeviceElements);
    }
    return check_device_memory(function, name, ".data", p.device, p.data, p.span() * p.element_size());
}

}  // namespace

CheckedTensor dense_like(const CheckedTensor &p, void *memory) {
    CheckedTensor dense = p;
    dense.data = static_cast<char *>(memory);
    const bool first = p.layout == Layout::kChannelsFirst && p.s > 1;  // Dense channels of one position are adjacent.
    dense.layout = first ? Layout::kChannelsFirst : Layout::kChannelsLast;
    dense.stride_n = p.n > 1 ? p.c * p.s : 0;
    dense.stride_c = p.c == 1 ? 0 : first ? p.s : 1;
    dense.stride_s = first ? 1 : p.c;
    return dense;
}

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

hnorm_status read_tensor(const char *function, const char *name, const hnorm_tensor *tensor, CheckedTensor *planes) {
    if (tensor == nullptr) {
        return fail(HNORM_INVALID_ARGUMENT, "%s: %s is null: a tensor is needed", function, name);
    }
    // All of its fields are of the first version, so that every caller's tensor has them.
    static_assert(sizeof(hnorm_tensor) == First<hnorm_tensor>::kSize);
    HNORM_TRY(check_size(function, name, *tensor));
    CheckedTensor p = {};
    HNORM_TRY(read_shape(function, name, *tensor, &p));
    p.data = static_cast<char *>(tensor->data);
    p.type = tensor->type;
    p.device = tensor->device;
    if (!p.empty()) {
        p.stride_n = p.n > 1 ? tensor->strides[0] : 0;
        p.stride_c = p.c > 1 ? tensor->strides[1] : 0;
        HNORM_TRY(read_layout(function, name, *tensor, &p));
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
    if (a.type != b.type) {
        return fail(HNORM_INVALID_ARGUMENT, "%s: %s.type is %s but %s.type is %s: they must be equal", function, y.name,
                    type_name(b.type), x.name, type_name(a.type));
    }
    if (a.device != b.device) {
        return fail(HNORM_INVALID_ARGUMENT, "%s: %s.device is %s but %s.device is %s: they must be equal", function,
                    y.name, device_name(b.device), x.name, device_name(a.device));
    }
    // With one position or one channel, both layouts are the same but for padding: kernels find a
    // view that suits all.
    if (x.planes.s > 1 && x.planes.c > 1 && x.planes.layout != y.planes.layout) {
        return fail(HNORM_INVALID_ARGUMENT, "%s: %s is %s but %s is %s: their layouts must be the same", function,
                    y.name, layout_name(y.planes.layout), x.name, layout_name(x.planes.layout));
    }
    return HNORM_OK;
}

hnorm_status read_pair(const char *function, const hnorm_tensor *x, const hnorm_tensor *y, CheckedTensor *x_planes,
                       CheckedTensor *y_planes) {
    HNORM_TRY(read_tensor(function, "x", x, x_planes));
    HNORM_TRY(read_tensor(function, "y", y, y_planes));
    const NamedTensor in = {"x", x, *x_planes}, out = {"y", y, *y_planes};
    HNORM_TRY(check_same_shape(function, in, out));
    return check_places(function, in, out);
}

}  // namespace hnorm::detail
