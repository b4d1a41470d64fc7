// Backward and normalize_backward (Device, device.h), and the weighted sums that the pointwise part takes.
#pragma once

#include "compute.h"

namespace hnorm::gpu {

hnorm_status backward(const Call &call, const Backward &b, bool add);
hnorm_status normalize_backward(const Call &call, const Backward &b, bool add);

// g1, g2 and the count of every group (docs/order.md, "Backward").
class Weighted {
public:
    Weighted(const Call &call, int64_t groups)
        : call_(call), groups_(groups), g1_(call.driver), g2_(call.driver), count_(call.driver) {}

    // From sums over the groups of `summed`: the same groups, or each sample's part of batch norm's.
    hnorm_status weigh(const Planes &x, const AffineView &affine, hnorm_group summed, hnorm_group group,
                       const double *sum_dy, const double *sum_dy_xmu, double total);
    const double *g1() const { return g1_.as<double>(); }
    const double *g2() const { return g2_.as<double>(); }
    const double *count() const { return count_.as<double>(); }

private:
    const Call &call_;
    const int64_t groups_;
    Scratch g1_, g2_, count_;
};

}  // namespace hnorm::gpu
