#include "view.h"

#include <algorithm>
#include <cstring>

#include "element_rows.h"
#include "past_cache.h"

namespace hnorm::detail {

namespace {

// Part of the order of summation.
constexpr int64_t kMostFewChannels = 15, kLeastPositions = 512, kLeastTransposed = 256;

// Whether work on all of the tensors together sees them as channels-last. The layouts can differ in
// two cases. If planes have one position, channels-first kernels take all tensors: they allow any
// distance between channels. If there is one channel, channels-last kernels do: they allow any
// distance between positions.
bool channels_last(const CheckedTensor *tensors, int count) {
    const auto last = [](const CheckedTensor &p) { return p.layout == Layout::kChannelsLast; };
    return tensors->s > 1 && tensors->c == 1 ? std::any_of(tensors, tensors + count, last)
                                             : std::all_of(tensors, tensors + count, last);
}

// The axes without a reduction over samples, and with one.
View of_samples(const CheckedTensor &p) {
    return {p.data, p.type, {p.s, p.stride_s}, {}, {p.c, p.stride_c}, {p.n, p.stride_n}};
}
View over_samples(const CheckedTensor &p) {
    return {p.data, p.type, {p.s, p.stride_s}, {p.n, p.stride_n}, {p.c, p.stride_c}, {}};
}
// Many samples of tiny planes: the samples are positions, and the positions planes.
bool can_be_transposed(const CheckedTensor &p) {
    return plane_class(p.s) == kTiny && p.s > 1 && p.n >= kLeastTransposed;
}
View transposed(const CheckedTensor &p) {
    return {p.data, p.type, {p.n, p.stride_n}, {p.s, p.stride_s}, {p.c, p.stride_c}, {}};
}
// The samples of planes of one position, as the positions of one plane.
View one_plane(const CheckedTensor &p) { return {p.data, p.type, {p.n, p.stride_n}, {}, {p.c, p.stride_c}, {}}; }

bool has_few_channels(const View &view) {
    return 2 <= view.g0.extent && view.g0.extent <= kMostFewChannels && view.s.extent >= kLeastPositions;
}
bool is_dense(const View &view) { return view.g0.stride == 1 && view.s.stride == view.g0.extent; }

// Groups of `together` channels, each channel a plane of its group. Channels of one position are
// the positions of one plane.
SumsView channels_view(const CheckedTensor &x, int64_t together) {
    SumsView seen = {};
    View view = of_samples(x);
    const Axis channels = {together, x.stride_c};
    (x.s == 1 ? view.s : view.r) = channels;
    view.g0 = {x.c / together, together * x.stride_c};
    seen.x = seen.dy = view;
    seen.planes = plane_class(view.s.extent);
    seen.merged = 1;
    return seen;
}

// `last`: whether the class is last.
PointwiseView pointwise(const CheckedTensor *tensors, int count, bool per_sample, bool last) {
    const CheckedTensor &x = *tensors;
    PointwiseView seen = {};
    seen.planes = last ? kLast : plane_class(x.s);
    const bool samples_are_positions = x.s == 1 && x.n > 1 && !per_sample && last;
    std::transform(tensors, tensors + count, seen.tensors.begin(), [&](const CheckedTensor &p) {
        return samples_are_positions ? one_plane(p) : per_sample ? of_samples(p) : over_samples(p);
    });
    return seen;
}

bool is_even(const View &v) { return v.g0.extent == 1 || v.g1.stride == v.g0.extent * v.g0.stride; }
View all_in_g0(View view) {
    view.g0 = {view.groups(), view.g0.extent == 1 ? view.g1.stride : view.g0.stride};
    view.g1 = {};
    return view;
}

}  // namespace

SumsView sums_view(const CheckedTensor &x, const CheckedTensor *dy, const Grouping &grouping) {
    const CheckedTensor tensors[] = {x, dy == nullptr ? x : *dy};
    const bool last = channels_last(tensors, 2);
    if (grouping.together > 1 && (!last || x.s == 1)) {
        return channels_view(x, grouping.together);
    }
    const bool batch = grouping.by == HNORM_BATCH, is_plane = batch && x.s == 1;
    SumsView seen = {};
    seen.transposed = batch && !last && can_be_transposed(x);
    seen.samples_are_positions = is_plane || seen.transposed;
    seen.x = seen_alike(seen, tensors[0], grouping);
    seen.dy = seen_alike(seen, tensors[1], grouping);
    seen.planes = last || seen.samples_are_positions ? kLast : plane_class(x.s);
    seen.adjacent = last;
    seen.few_channels = seen.planes == kLast && !seen.transposed && has_few_channels(seen.x);
    seen.dense = seen.few_channels && is_dense(seen.x) && is_dense(seen.dy);
    seen.merged = grouping.together;
    return seen;
}

View seen_alike(const SumsView &of, const CheckedTensor &other, const Grouping &grouping) {
    return of.transposed                ? transposed(other)
           : of.samples_are_positions   ? one_plane(other)
           : grouping.by == HNORM_BATCH ? over_samples(other)
                                        : of_samples(other);
}

SumsView one_row(SumsView view) {
    if (view.planes != kLast && view.x.g1.extent > 1 && is_even(view.x) && is_even(view.dy)) {
        view.x = all_in_g0(view.x);
        view.dy = all_in_g0(view.dy);
    }
    return view;
}

bool faster_side_by_side(const SumsView &view) {
    constexpr int64_t kMostElements = 512;  // of a sample: the copy of more takes longer than it saves
    const View &x = view.x;
    return view.planes == kLast && !view.samples_are_positions && x.r.extent == 1 && x.g1.extent > 1 &&
           x.s.extent > 1 && x.g0.extent * x.s.extent <= kMostElements;
}

namespace {

// The samples from `first` on, in steps of kWidth channels. What is too much lies in the next
// sample, and the next step overwrites it.
template <int kWidth, typename Element>
void copy_samples(const View &view, int64_t first, int64_t end, Element *to) {
    const Axis s = view.s, g0 = view.g0;
    const int64_t groups = view.groups();
    // A step of 4 or 8 holds all channels, so that there is no loop.
    const int64_t channels = kWidth == 4 || kWidth == 8 ? kWidth : g0.extent;
    for (int64_t n = first; n < end; ++n) {
        const auto *from = reinterpret_cast<const Element *>(view.at(0, 0, 0, n));
        Element *at = to + n * g0.extent;
        for (int64_t i = 0; i < s.extent; ++i, from += s.stride, at += groups) {
            for (int64_t g = 0; g < channels; g += kWidth) {
                std::memcpy(at + g, from + g * (kWidth == 1 ? g0.stride : 1), kWidth * sizeof(Element));
            }
        }
    }
}

template <typename Element>
void copy_side_by_side(const View &view, Element *to) {
    // All but the last sample in steps, if samples follow each other: a step also reads and writes
    // a part of the next sample.
    const bool follow = is_dense(view) && view.g1.stride == view.s.extent * view.s.stride;
    const int64_t channels = view.g0.extent, samples = view.g1.extent, steps = follow ? samples - 1 : 0;
    if (channels <= 2) {
        copy_samples<2>(view, 0, steps, to);
    } else if (channels <= 4) {
        copy_samples<4>(view, 0, steps, to);
    } else if (channels <= 8) {
        copy_samples<8>(view, 0, steps, to);
    } else {
        copy_samples<16>(view, 0, steps, to);
    }
    copy_samples<1>(view, steps, samples, to);
}

}  // namespace

View side_by_side(const View &view, char *copy) {
    if (view.type == HNORM_F32) {
        copy_side_by_side(view, reinterpret_cast<float *>(copy));
    } else {
        copy_side_by_side(view, reinterpret_cast<uint16_t *>(copy));
    }
    return {copy, view.type, {view.s.extent, view.groups()}, {}, {view.groups(), 1}, {}};
}

View positions_as_channels(const View &view) {
    return {view.data, view.type, view.s, {}, {view.g0.extent * view.r.extent, view.r.stride}, {}};
}

View few_channels_part(View view, int64_t i) {
    view.data = view.at(i, 0, 0, 0);
    view.s.extent /= kFewChannelsParts;
    view.s.stride *= kFewChannelsParts;
    return view;
}

View few_channels_parts(View view) {
    view = few_channels_part(view, 0);
    view.g0.extent *= kFewChannelsParts;
    return view;
}

View few_channels_remainder(View view) {
    const int64_t rest = view.s.extent % kFewChannelsParts;
    view.data = view.at(view.s.extent - rest, 0, 0, 0);
    view.s.extent = rest;
    return view;
}

bool is_one_plane(const CheckedTensor &p) {
    const bool dense = (p.s == 1 || p.stride_s == 1) && (p.n == 1 || p.stride_n == p.s);
    return p.c == 1 && dense && p.n * p.s <= kMaxExtent;
}
CheckedTensor as_one_plane(const CheckedTensor &p) {
    return {p.data, p.type, p.device, Layout::kChannelsFirst, 1, 1, p.n * p.s, 0, 0, 1};
}

PointwiseView pointwise_view(const CheckedTensor *tensors, int count, bool per_sample, bool dense) {
    const bool last = channels_last(tensors, count);
    PointwiseView seen = pointwise(tensors, count, per_sample, last);
    View *const begin = seen.tensors.data(), *const end = begin + count;
    if (!last && per_sample && dense && std::all_of(begin, end, is_even)) {
        std::transform(begin, end, begin, all_in_g0);
    }
    return seen;
}

bool faster_by_elements(const CheckedTensor *tensors, int count, bool per_sample) {
    const CheckedTensor &y = tensors[count - 1];
    if (y.layout == Layout::kChannelsFirst) {
        // The values are repeated once for all samples, which pays only if there are several: for
        // one it took up to twice the time.
        constexpr int64_t kLeastSamples = 8;
        if (per_sample || y.n < kLeastSamples || plane_class(y.s) != kTiny) {
            return false;
        }
    } else {
        // Rows of few vectors gain most. More channels gain if rows are not whole lines, and least
        // if only their beginnings are not. In smaller tensors the calls for the ends take longer.
        constexpr int64_t kLeast = 16384, kLeastShifted = 65536, kMostChannels = 64;
        const int64_t positions = per_sample ? y.s : y.n * y.s, elements = positions * y.c;
        const bool few = y.c <= kMostFewChannels && positions >= kLeastPositions;
        const bool gains = y.c <= kMostChannels || y.c * y.element_size() % kLine != 0 ||
                           (elements >= kLeastShifted && misalignment(y.data) != 0);
        if (!few && (elements < kLeast || !gains || !LineRows::are_many(y, elements))) {
            return false;
        }
    }
    return std::all_of(tensors, tensors + count,
                       [&](const CheckedTensor &p) { return p.layout == y.layout && is_dense(p); }) &&
           (y.layout == Layout::kChannelsFirst || LineRows::fit(y));
}

PointwiseView pointwise_view_on_device(const CheckedTensor *tensors, int count, bool per_sample) {
    constexpr int64_t kFewChannels = 16;
    const bool last = channels_last(tensors, count);
    PointwiseView seen = pointwise(tensors, count, per_sample, last);
    // Neighbouring threads take neighbouring positions of few channels, whatever the layout.
    const View &x = seen.tensors[0];
    const bool few = x.g0.extent < kFewChannels && x.s.extent >= kFewChannels;
    seen.planes = last && !few ? kLast : plane_class(x.s.extent) == kLarge ? kLarge : kSmall;
    return seen;
}

}  // namespace hnorm::detail
