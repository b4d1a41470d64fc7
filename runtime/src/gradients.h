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

// The groups whose sums are computed: the groups of the statistics, or the part of each sample in
// them if the gradient of gamma needs it.
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

// The sums over groups that a Backward needs, and the gradients of the parameters, which follow
// from the sums.
class GradientSums {
public:
    explicit GradientSums(const Backward &b);

    hnorm_status reserve(const char *function) { return scratch_.reserve(function, 2 * groups_); }
    // Of the groups from the range's first on.
    double *dy(const Range &range) { return scratch_.data() + first(range); }
    double *dy_xmu(const Range &range) { return dy(range) + groups_; }

    // Replaces the sums of dy*(x - mean) of the range by the values that the gradient of gamma
    // needs. If that gradient is not wanted, they stay.
    void weigh(const Range &range);
    // Call it after weigh() for all groups.
    void write_parameter_gradients();

private:
    int64_t first(const Range &range) const { return range.first(groups_stride(b_.x, group_)); }
    void write(double *sums, float *gradient);

    const Backward &b_;
    const hnorm_group group_;
    const int64_t groups_;
    Scratch scratch_;
};

// The coefficients of forward that the gradients need: m, and a and b for the sign of the
// activation. Without an activation, a and b are m.
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

// Computes g1 and g2, one value a group, from sums over the groups of `summed`. These are the same
// groups, or the parts of batch norm's groups in each sample.
void times_gamma(const Planes &x, const AffineView &affine, hnorm_group summed, hnorm_group group, const double *sum_dy,
                 const double *sum_dy_xmu, double *g1, double *g2);

// past_cache: as for compute_normalize().
hnorm_status compute_backward_apply(const char *function, const Machine &machine, const Planes &x, const Planes &dy,
                                    const GradientCoefficients &coefficients, const Gate &gate, const Planes &dx,
                                    bool past_cache);

// compute_backward: the gradients through the statistics. compute_normalize_backward: the gradients
// with constant statistics.
hnorm_status compute_backward(const char *function, const Machine &machine, const Backward &b);
hnorm_status compute_normalize_backward(const char *function, const Machine &machine, const Backward &b);

}  // namespace hnorm::detail
