// How kernels see tensors: x(s, r, g0, g1) (docs/order.md). Which axes are reduced, the class of
// the planes and few channels are decided here and nowhere else. The CPU and devices take these
// views.
#pragma once

#include <array>

#include "kernels.h"
#include "tensor.h"

namespace hnorm::detail {

struct Axis {
    int64_t extent = 1, stride = 0;
};

// A tensor with its axes as a kernel reads them. A group is (g0, g1), and its elements are all
// (s, r). g0 counts channels or groups of channels, g1 samples.
struct View {
    char *data;
    hnorm_type type;
    Axis s, r, g0, g1;

    int64_t groups() const { return g0.extent * g1.extent; }
    int64_t group_size() const { return s.extent * r.extent; }
    int64_t elements() const { return groups() * group_size(); }
    int64_t element_size() const { return type == HNORM_F32 ? 4 : 2; }
    char *at(int64_t i_s, int64_t i_r, int64_t i_g0, int64_t i_g1) const {
        return data + (i_s * s.stride + i_r * r.stride + i_g0 * g0.stride + i_g1 * g1.stride) * element_size();
    }
    // The place of a slice's first group in a dense array with one value a group. Here and in
    // cropped(), a slice's channels are along g0 and its samples along g1.
    int64_t first(const Slice &slice) const { return slice.n_begin * g0.extent + slice.c_begin; }
};
inline View cropped(View view, const Slice &slice) {
    view.data = view.at(0, 0, slice.c_begin, slice.n_begin);
    view.g0.extent = slice.c_end - slice.c_begin;
    view.g1.extent = slice.n_end - slice.n_begin;
    return view;
}

// What sums read. `merged` neighbouring groups of the view make one group of the `grouping`.
struct SumsView {
    View x, dy;  // dy: of backward; in forward it is x
    PlaneClass planes;
    bool few_channels;           // docs/order.md, "Few channels"
    bool dense;                  // few channels whose parts lie side by side
    bool adjacent;               // planes of class last have adjacent channels
    bool transposed;             // tiny planes: samples are seen as positions, positions as planes of class last
    bool samples_are_positions;  // planes of one position, seen as one plane; or transposed
    int64_t merged = 1;
};
SumsView sums_view(const CheckedTensor &x, const CheckedTensor *dy, const Grouping &grouping);
// Another tensor of x's shape, seen as these sums see x. The grouping must not put channels
// together.
View seen_alike(const SumsView &of, const CheckedTensor &other, const Grouping &grouping);
// The axis of a view that the samples are on. Batch norm reduces over it.
inline Axis &samples_of(View &x, const SumsView &of) { return of.samples_are_positions ? x.s : x.r; }
// The same view with all groups along g0, if planes are channels-first and groups are evenly apart,
// so that thousands of samples of few groups are one row of groups. Values of the groups must be
// dense.
SumsView one_row(SumsView view);

// Whether a copy is summed faster in which groups lie side by side, position by position: groups of
// few positions, of samples of few elements. In the view itself such samples fill few vectors.
bool faster_side_by_side(const SumsView &view);
// Writes a dense copy of this kind, and returns how kernels see it: as planes of class last, with
// all groups along g0.
View side_by_side(const View &view, char *copy);

// Transposed planes as the CPU's kernels sum them: each position of each channel is a channel. The
// channels must be dense. Values of channels are repeated for each position.
View positions_as_channels(const View &view);

// The parts of the positions of few channels:
// - part: every 32nd position from the i-th on
// - parts: of a dense view all 32 at once, as 32 times the channels
// - remainder: the positions after the last full 32; it may have no elements
constexpr int64_t kFewChannelsParts = 32;
View few_channels_part(View view, int64_t i);
View few_channels_parts(View view);
View few_channels_remainder(View view);

// Whether a tensor of one channel lies side by side and is not too large for one plane, and how it
// is seen as one. The pointwise part sees it so, whatever its samples are.
bool is_one_plane(const CheckedTensor &p);
CheckedTensor as_one_plane(const CheckedTensor &p);

// How a pointwise kernel reads and writes tensors of one shape.
constexpr int kMostTensors = 3;
struct PointwiseView {
    std::array<View, kMostTensors> tensors;  // in the order given
    PlaneClass planes;
};
// per_sample: whether values of the groups differ between samples. dense: whether these values then
// are dense arrays, so that all groups may be along g0.
PointwiseView pointwise_view(const CheckedTensor *tensors, int count, bool per_sample, bool dense);
// The same for devices, which take groups as they are.
PointwiseView pointwise_view_on_device(const CheckedTensor *tensors, int count, bool per_sample);

// Whether a pointwise kernel of the CPU is faster if rows of adjacent elements are its positions
// (element_rows.h), and not the positions or planes that the tensors have. Vectors are full then,
// whatever the number of channels or the size of planes, and rows begin with a cache line.
bool faster_by_elements(const CheckedTensor *tensors, int count, bool per_sample);

}  // namespace hnorm::detail
