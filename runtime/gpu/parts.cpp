#include "parts.h"

namespace hnorm::gpu {

hnorm_status DensePlanes::hold(const Planes &x) {
    planes_ = x;
    if (x.stride_c == 1 && x.stride_s == x.c) {
        return HNORM_OK;
    }
    HNORM_TRY(copy_.reserve(call_.function, x.elements() * x.element_size()));
    planes_ = dense_like(x, copy_.as<void>());
    return activation_backward(call_, x, x, 1, planes_);  // by which nothing changes
}

PartResults::PartResults(const Call &call, const Planes &x, hnorm_group group)
    : call_(call),
      groups_(x.groups(group)),
      remains_(!narrow_remainder(x).empty()),
      first_(call.driver),
      second_(call.driver),
      rest_first_(call.driver),
      rest_second_(call.driver) {}

hnorm_status PartResults::reserve() {
    const int64_t rest = groups_ * static_cast<int64_t>(sizeof(double)), parts = kNarrowParts * rest;
    HNORM_TRY(first_.reserve(call_.function, parts));
    HNORM_TRY(second_.reserve(call_.function, parts));
    if (remains_) {
        HNORM_TRY(rest_first_.reserve(call_.function, rest));
        HNORM_TRY(rest_second_.reserve(call_.function, rest));
    }
    return HNORM_OK;
}

Planes remaining(const Planes &x, int64_t *earlier) {
    Planes rest = x;
    rest.s = x.s % kNarrowParts;
    *earlier = x.s - rest.s;
    return rest;
}

}  // namespace hnorm::gpu
