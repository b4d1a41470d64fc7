// Validated tensors (N, C, spatial...) as planes. The rest of the runtime computes with planes.
#pragma once

#include <hnorm/hnorm.h>

#include <cstdint>

namespace hnorm::detail {

// The limit of N*C, of positions and of strides. Kernels count along an axis in 32 bits, and round
// extents up to rows, chunks and parts. Nearer to 2^31 this would overflow, and kernels would
// compute nothing without an error.
constexpr int64_t kMaxExtent = 2000000000;
// The limit of the distance between positions of channels-last tensors. Tensors of few channels are
// seen with 32 times the channels, and then positions are 32 times as far apart (view.h).
constexpr int64_t kMaxPositionStride = kMaxExtent / 32;
// The limit of elements of a tensor, padding included. Computations with it are far from
// overflowing 64 bits.
constexpr int64_t kMaxElements = int64_t(1) << 40;
// The limit of elements of a tensor on a device. Kernels of devices count elements in 32 bits.
constexpr int64_t kMaxDeviceElements = 2147483647;

// Whether a pointer of the device is a handle of a whole piece of memory (a cl_mem), and not an
// address. Two of them can only be compared.
inline bool opaque(hnorm_device device) { return device == HNORM_OPENCL; }

// What is adjacent in memory: the positions of a plane, or the channels of a position.
enum class Layout { kChannelsFirst, kChannelsLast };

// N samples of C channels of S positions. Element (n, c, s) lies n*stride_n + c*stride_c +
// s*stride_s elements after data. stride_s is 1 in channels-first, stride_c is 1 in channels-last.
// If the extent of n or c is 1, its stride is 0, no matter which stride the caller gave. Planes of
// one position are channels-last if their channels are adjacent, and else channels-first with
// channels apart.
struct CheckedTensor {
    char *data;
    hnorm_type type;
    hnorm_device device;
    Layout layout;
    int64_t n, c, s;
    int64_t stride_n, stride_c, stride_s;

    bool opaque() const { return detail::opaque(device); }
    bool empty() const { return s == 0; }  // read_tensor sets s to 0 whichever extent is 0
    int64_t elements() const { return n * c * s; }
    int64_t element_size() const { return type == HNORM_F32 ? 4 : 2; }
    char *at(int64_t i_n, int64_t i_c) const { return data + (i_n * stride_n + i_c * stride_c) * element_size(); }
    // One past the largest element offset; 0 if empty.
    int64_t span() const { return empty() ? 0 : (n - 1) * stride_n + (c - 1) * stride_c + (s - 1) * stride_s + 1; }
    const char *end() const { return data + span() * element_size(); }
    int64_t groups(hnorm_group group) const { return group == HNORM_BATCH ? c : n * c; }
    int64_t group_size(hnorm_group group) const { return group == HNORM_BATCH ? n * s : s; }
};

// Some of a tensor's planes, of some samples and some channels, both half open.
struct Slice {
    int64_t n_begin, n_end, c_begin, c_end;
};
inline Slice all_of(const CheckedTensor &x) { return {0, x.n, 0, x.c}; }
inline CheckedTensor cropped(CheckedTensor p, const Slice &slice) {
    p.data = p.at(slice.n_begin, slice.c_begin);
    p.n = slice.n_end - slice.n_begin;
    p.c = slice.c_end - slice.c_begin;
    return p;
}

// The groups of a tensor. `by` is HNORM_BATCH for channels of all samples, or HNORM_INSTANCE for
// channels of each sample. `together` neighbouring channels make one group.
struct Grouping {
    hnorm_group by = HNORM_BATCH;
    int64_t together = 1;

    bool operator==(const Grouping &other) const { return by == other.by && together == other.together; }
    bool operator!=(const Grouping &other) const { return !(*this == other); }

    int64_t count(const CheckedTensor &x) const { return x.groups(by) / together; }
    int64_t size(const CheckedTensor &x) const { return x.group_size(by) * together; }
    // The distance from the values of one sample to those of the next, in a dense array with one
    // value a group. 0: samples share them.
    int64_t stride_n(const CheckedTensor &x) const { return by == HNORM_BATCH ? 0 : x.c / together; }
    // The place of a slice's first group in such an array.
    int64_t first(const CheckedTensor &x, const Slice &slice) const {
        return slice.n_begin * stride_n(x) + slice.c_begin / together;
    }
};

// G of hnorm_groups(G), and less than 1 for every other argument.
inline int64_t groups_of_sample(hnorm_group group) { return int64_t(group) - HNORM_GROUPS; }
// Of an argument that was checked, for tensors with this number of channels.
inline Grouping grouping_of(hnorm_group group, int64_t channels) {
    const int64_t groups = groups_of_sample(group);
    return groups < 1 ? Grouping{group, 1} : Grouping{HNORM_INSTANCE, channels == 0 ? 1 : channels / groups};
}

// Dense planes like p, in memory of p.elements() elements.
CheckedTensor dense_like(const CheckedTensor &p, void *memory);

// A shape in words: "(2, 3, 4)".
struct ShapeText {
    explicit ShapeText(const hnorm_tensor &tensor);
    char text[24 * HNORM_MAX_RANK];
};

// Validates one tensor argument. Messages begin with "function: name".
hnorm_status read_tensor(const char *function, const char *name, const hnorm_tensor *tensor, CheckedTensor *planes);

// A tensor argument, validated: for checks of two of them, whose messages name both.
struct NamedTensor {
    const char *name;
    const hnorm_tensor *tensor;
    CheckedTensor planes;
};

// Equal shapes, types and layouts.
hnorm_status check_same_shape(const char *function, const NamedTensor &x, const NamedTensor &y);

// Validates the pair x, y: each, their shapes and their places.
hnorm_status read_pair(const char *function, const hnorm_tensor *x, const hnorm_tensor *y, CheckedTensor *x_planes,
                       CheckedTensor *y_planes);

}  // namespace hnorm::detail
