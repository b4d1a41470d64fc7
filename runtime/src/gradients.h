// The gradients' computations (docs/order.md, "Backward"), on validated arguments and tensors that are not empty.
#pragma once

#include "coefficients.h"
#include "compute.h"

namespace hnorm::detail {

// hnorm_backward's arguments, and hnorm_normalize_backward's. mean and variance: one double a group.
struct Backward {
    Planes x, dy;
    const Planes *dx;  // null: not wanted
    hnorm_group group;
    const double *mean, *variance;  // where channels are together on the CPU of each channel
    AffineView affine;
    bool per_sample;  // gamma and beta, and so their gradients: N*C of them, else C
    double eps;
    float *dgamma, *dbeta;  // null: not wanted
    float slope = 1;        // of the activation
    int64_t together = 1;   // neighbouring channels that are one group
    // Where a residual was added and there is an activation: forward's y, which has its sign.
    const Planes *y = nullptr;
    const Planes *dresidual = nullptr;  // null: not wanted

    bool has_residual() const { return y || dresidual; }
};

// The groups whose sums are taken: those of the statistics, or each sample's part of them where gamma's gradient needs it.
inline hnorm_group summed_group(const Backward &b) { return b.per_sample ? HNORM_INSTANCE : b.group; }

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
    // Of the groups from the range's first on.
    double *dy(const Range &range) { return scratch_.data() + first(range); }
    double *dy_xmu(const Range &range) { return dy(range) + groups_; }

    // What gamma's gradient takes of those from the range's first group on, of as many samples and channels: where it is wanted they do
    // not survive it.
    void weigh(const Range &range);
    // After that of all groups.
    void write_parameter_gradients();

private:
    int64_t first(const Range &range) const { return range.first(groups_stride(b_.x, group_)); }
    void write(double *sums, float *gradient);

    const Backward &b_;
    const hnorm_group group_;
    const int64_t groups_;
    Scratch scratch_;
};

// What the gradients take of forward's pointwise part: m, and for the activation's sign a and b, which are m where there is none.
struct Gate {
    GroupFloats m, a, b;
    float slope;
};

// m, and a and b where there is an activation, computed.
class GateValues {
public:
    hnorm_status compute(const char *function, const Planes &x, const GroupValues &mean, const GroupValues &variance,
                         const AffineView &affine, double eps, float slope);
    Gate gate() const { return gate_; }

private:
    Coefficients coefficients_;
    Gate gate_ = {};
};

// The sums over each group, of dy and of dy*(x - mean).
hnorm_status compute_backward_reduce(const char *function, const Machine &machine, const Planes &x, const Planes &dy,
                                     hnorm_group group, const GroupValues &mean, const Gate &gate, double *sum_dy,
                                     double *sum_dy_xmu);

// dz from y and dy.
hnorm_status compute_activation_backward(const char *function, const Machine &machine, const Planes &y,
                                         const Planes &dy, float slope, const Planes &dz);

// g1 and g2, one a group, from sums over the groups of `summed`: the same groups, or each sample's part of batch norm's.
void times_gamma(const Planes &x, const AffineView &affine, hnorm_group summed, hnorm_group group, const double *sum_dy,
                 const double *sum_dy_xmu, double *g1, double *g2);

// past_cache: as for compute_normalize().
hnorm_status compute_backward_apply(const char *function, const Machine &machine, const Planes &x, const Planes &dy,
                                    const GradientCoefficients &coefficients, const Gate &gate, const Planes &dx,
                                    bool past_cache);

// The gradients through the statistics, and with statistics that are constants.
hnorm_status compute_backward(const char *function, const Machine &machine, const Backward &b);
hnorm_status compute_normalize_backward(const char *function, const Machine &machine, const Backward &b);

}  // namespace hnorm::detail
