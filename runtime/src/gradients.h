// The gradients' computations (docs/order.md, "Backward"), on validated arguments and tensors that are not empty.
#pragma once

#include "compute.h"

namespace hnorm::detail {

// hnorm_backward's arguments, and hnorm_normalize_backward's. mean and variance: one double a group. Of affine only gamma
// is read.
struct Backward {
    Planes x, dy;
    const Planes *dx;  // null: not wanted
    hnorm_group group;
    const double *mean, *variance;
    AffineView affine;
    bool per_sample;  // gamma and beta, and so their gradients: N*C of them, else C
    double eps;
    float *dgamma, *dbeta;  // null: not wanted
};

// The sums over each group, of dy and of dy*(x - mean). (n, c) has mean[n*stride_n + c].
hnorm_status compute_backward_reduce(const char *function, const Machine &machine, const Planes &x, const Planes &dy,
                                     hnorm_group group, const double *mean, int64_t stride_n, double *sum_dy,
                                     double *sum_dy_xmu);

// g1 and g2, one a group, from sums over the groups of `summed`: the same groups, or each sample's part of batch norm's.
void times_gamma(const Planes &x, const AffineView &affine, hnorm_group summed, hnorm_group group, const double *sum_dy,
                 const double *sum_dy_xmu, double *g1, double *g2);

// What backward_apply takes besides the tensors: g1, g2, mean and variance one double a group, count too, or one for all.
struct ApplyStatistics {
    const double *mean, *variance, *g1, *g2, *count;
    bool one_count;
};
hnorm_status compute_backward_apply(const char *function, const Machine &machine, const Planes &x, const Planes &dy,
                                    hnorm_group group, const ApplyStatistics &statistics, const AffineView &affine,
                                    double eps, const Planes &dx);

// The gradients through the statistics, and with statistics that are constants.
hnorm_status compute_backward(const char *function, const Machine &machine, const Backward &b);
hnorm_status compute_normalize_backward(const char *function, const Machine &machine, const Backward &b);

}  // namespace hnorm::detail
