#include "narrow.h"

namespace hnorm::detail {

namespace {

// Part of the order of summation.
constexpr int64_t kMostChannels = 15, kLeastPositions = 512;

}  // namespace

bool is_narrow(std::initializer_list<const Planes *> tensors) {
    const Planes &x = **tensors.begin();
    return 2 <= x.c && x.c <= kMostChannels && x.s >= kLeastPositions &&
           std::all_of(tensors.begin(), tensors.end(),
                       [](const Planes *p) { return p == nullptr || p->layout == Layout::kChannelsLast; });
}

bool is_narrow_and_dense(std::initializer_list<const Planes *> tensors) {
    return is_narrow(tensors) && std::all_of(tensors.begin(), tensors.end(),
                                             [](const Planes *p) { return p == nullptr || p->stride_s == p->c; });
}

Planes narrow_part(const Planes &x, int64_t i) {
    Planes part = x;
    part.data += i * x.stride_s * x.element_size();
    part.s /= kNarrowParts;
    part.stride_s *= kNarrowParts;
    return part;
}

Planes narrow_parts(const Planes &x) {
    Planes parts = narrow_part(x, 0);
    parts.c *= kNarrowParts;
    return parts;
}

Planes narrow_remainder(const Planes &x) {
    Planes rest = x;
    rest.s %= kNarrowParts;
    rest.data += (x.s - rest.s) * x.stride_s * x.element_size();
    return rest;
}

}  // namespace hnorm::detail
