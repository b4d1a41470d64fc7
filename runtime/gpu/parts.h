// Channels-last tensors of few channels (docs/order.md, "Few channels"), whose 32 parts are summed side by side, as 32 times the
// channels; what remains is summed apart.
#pragma once

#include "compute.h"
#include "narrow.h"

namespace hnorm::gpu {

// The tensor, or a dense copy of it: parts lie side by side only where positions do.
class DensePlanes {
public:
    explicit DensePlanes(const Call &call) : call_(call), copy_(call.driver) {}
    hnorm_status hold(const Planes &x);
    const Planes &planes() const { return planes_; }

private:
    const Call &call_;
    Scratch copy_;
    Planes planes_ = {};
};

// Two results of every group for each part, and for the remainder.
class PartResults {
public:
    PartResults(const Call &call, const Planes &x, hnorm_group group);
    hnorm_status reserve();

    double *first() const { return first_.as<double>(); }
    double *second() const { return second_.as<double>(); }
    double *rest_first() const { return remains_ ? rest_first_.as<double>() : first(); }
    double *rest_second() const { return remains_ ? rest_second_.as<double>() : second(); }
    bool remains() const { return remains_; }
    int32_t parts() const { return static_cast<int32_t>(kNarrowParts + remains_); }

private:
    const Call &call_;
    const int64_t groups_;
    const bool remains_;
    Scratch first_, second_, rest_first_, rest_second_;
};

// The positions that remain, of a tensor whose memory begins `earlier` positions before (begin_earlier).
Planes remaining(const Planes &x, int64_t *earlier);

}  // namespace hnorm::gpu
