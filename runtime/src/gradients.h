// The gradients' computations (docs/order.md, "Backward"), on validated arguments and tensors that are not empty.
#pragma once

#include "compute.h"

namespace hnorm::detail {

// hnorm_backward's arguments, and hnorm_normalize_backward's. mean and variance: one double a group.
struct Backward {
    Planes x, dy;
    const Planes *dx;  // null: not wanted
    hnorm_group group;
    const double *mean, *variance;
    AffineView affine;
    bool per_sample;  // gamma and beta, and so their gradients: N*C of them, else C
    double eps;
    float *dgamma, *dbeta;  // null: not wanted
    float slope = 1;        // of the activation
    // Where a residual was added and there is an activation: forward's y, which has its sign.
    const Planes *y = nullptr;
    const Planes *dresidual = nullptr;  // null: not wanted

    bool has_residual() const { return y || dresidual; }
};

// The groups whose sums are taken: those of the statistics, or each sample's part of them where gamma's gradient needs it.
inline hnorm_group summed_group(const Backward &b) { return b.per_sample ? HNORM_INSTANCE : b.group; }

// Between the statistics of one sample's groups and the next's.
inline int64_t statistics_stride(const Planes &x, hnorm_group group) { return group == HNORM_BATCH ? 0 : x.c; }

// Calls visit(n, c, n*channels + c).
template <typename Visit>
void for_each_plane(int64_t samples, int64_t channels, const Visit &visit) {
    for (int64_t n = 0, i = 0; n < samples; ++n) {
        for (int64_t c = 0; c < channels; ++c, ++i) {
            visit(n, c, i);
        }
    }
}

// The sums over the groups that a Backward rests on, and the parameters' gradients, which follow from them.
class GradientSums {
public:
    explicit GradientSums(const Backward &b);

    hnorm_status reserve(const char *function) { return scratch_.reserve(function, 2 * groups_); }
    double *dy() { return scratch_.data(); }
    double *dy_xmu() { return scratch_.data() + groups_; }

    // From the kernels that do nothing else.
    hnorm_status reduce(const char *function, const Machine &machine);
    // The sums do not survive it.
    void write_parameter_gradients();

private:
    void write(double *sums, float *gradient) const;

    const Backward &b_;
    const hnorm_group group_;
    const int64_t groups_;
    Scratch scratch_;
};

// What backward knows of forward besides the tensors.
struct ForwardPart {
    GroupValues mean, variance;
    AffineView affine;
    double eps;
    float slope;

    // Of the channels from c on, of batch norm.
    ForwardPart from_channel(int64_t c) const {
        ForwardPart part = *this;
        part.mean.data += c * mean.stride_c;
        part.variance.data += c * variance.stride_c;
        part.affine.gamma += c * affine.gamma_c;
        part.affine.beta += c * affine.beta_c;
        return part;
    }
};

inline ForwardPart forward_part(const Backward &b) {
    return {group_values(b.mean, b.x, b.group), group_values(b.variance, b.x, b.group), b.affine, b.eps, b.slope};
}

// The sums over each group, of dy and of dy*(x - mean).
hnorm_status compute_backward_reduce(const char *function, const Machine &machine, const Planes &x, const Planes &dy,
                                     hnorm_group group, const ForwardPart &forward, double *sum_dy, double *sum_dy_xmu);

// dz from y and dy.
hnorm_status compute_activation_backward(const char *function, const Machine &machine, const Planes &y,
                                         const Planes &dy, float slope, const Planes &dz);

// g1 and g2, one a group, from sums over the groups of `summed`: the same groups, or each sample's part of batch norm's.
void times_gamma(const Planes &x, const AffineView &affine, hnorm_group summed, hnorm_group group, const double *sum_dy,
                 const double *sum_dy_xmu, double *g1, double *g2);

// What backward_apply takes besides the tensors and what it knows of forward.
struct ApplySums {
    GroupValues g1, g2, count;
};
hnorm_status compute_backward_apply(const char *function, const Machine &machine, const Planes &x, const Planes &dy,
                                    const ForwardPart &forward, const ApplySums &sums, const Planes &dx);

// The gradients through the statistics, and with statistics that are constants.
hnorm_status compute_backward(const char *function, const Machine &machine, const Backward &b);
hnorm_status compute_normalize_backward(const char *function, const Machine &machine, const Backward &b);

}  // namespace hnorm::detail
