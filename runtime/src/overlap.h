// Whether elements share memory: those of one tensor, of two, or of a tensor and an array.
#pragma once

#include "tensor.h"

namespace hnorm::detail {

// Whether two of its elements share memory. Not of an empty tensor.
bool overlaps_itself(const CheckedTensor &planes);

// Whether any byte of [begin, end), on its device, belongs to an element of the tensor.
bool touches(const CheckedTensor &planes, const void *begin, const void *end);

// Memory that is either the same or shares no element. Of equal shapes.
hnorm_status check_places(const char *function, const NamedTensor &x, const NamedTensor &y);
// Memory that shares no element. Of equal shapes.
hnorm_status check_disjoint(const char *function, const NamedTensor &x, const NamedTensor &y);

}  // namespace hnorm::detail
