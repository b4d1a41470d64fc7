// Whether elements share memory: those of one tensor, of two, or of a tensor and an array.
#pragma once

#include "tensor.h"

namespace hnorm::detail {

// Whether two of its elements share memory. Not of an empty tensor.
bool overlaps_itself(const CheckedTensor &planes);

// The first byte of a tensor and the one past its last, as numbers.
inline uintptr_t begin_of(const CheckedTensor &planes) { return reinterpret_cast<uintptr_t>(planes.data); }
inline uintptr_t end_of(const CheckedTensor &planes) { return reinterpret_cast<uintptr_t>(planes.end()); }

// Whether any byte of [begin, end) belongs to an element of the tensor, whose memory it meets.
bool touches_element(const CheckedTensor &planes, uintptr_t begin, uintptr_t end);
// Whether any byte of [begin, end), on its device, belongs to an element of the tensor.
inline bool touches(const CheckedTensor &planes, uintptr_t begin, uintptr_t end) {
    const bool meet = begin < end_of(planes) && begin_of(planes) < end;
    return !planes.empty() &&
           (planes.opaque() ? begin_of(planes) == begin : meet && touches_element(planes, begin, end));
}

// Memory that is either the same or shares no element. Of equal shapes.
hnorm_status check_places(const char *function, const NamedTensor &x, const NamedTensor &y);
// Memory that shares no element. Of equal shapes.
hnorm_status check_disjoint(const char *function, const NamedTensor &x, const NamedTensor &y);

}  // namespace hnorm::detail
