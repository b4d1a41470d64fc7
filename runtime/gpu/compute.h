// The computations of Device (device.h), as a device's kernels do them: the same steps as the CPU's, compute_*.cpp, in the same
// order of summation (docs/order.md).
#pragma once

#include "gradients.h"
#include "launch.h"

namespace hnorm::gpu {

// The class of pointwise kernels: for few channels neighbouring threads take neighbouring positions, whatever the layout.
PlaneClass device_class(std::initializer_list<const Planes *> tensors);

hnorm_status moments(const Call &call, const Planes &x, hnorm_group group, double divisor, double *mean, double *m2);
hnorm_status normalize(const Call &call, const Planes &x, const GroupValues &mean, const GroupValues &variance,
                       const AffineView &affine, double eps, const PostOps &post, const Planes &y);
hnorm_status activation_backward(const Call &call, const Planes &y, const Planes &dy, float slope, const Planes &dz);
hnorm_status backward_reduce(const Call &call, const Planes &x, const Planes &dy, hnorm_group group,
                             const ForwardPart &forward, double *sum_dy, double *sum_dy_xmu);
// total: if not 0, the count of every group, and sums.g1 and g2 are its own sums, of dy and of dy*(x - mean).
hnorm_status backward_apply(const Call &call, const Planes &x, const Planes &dy, const ForwardPart &forward,
                            const ApplySums &sums, const Planes &dx, double total = 0);

// gamma and beta with constants for absent ones.
AffineView present(const Call &call, const AffineView &affine);

}  // namespace hnorm::gpu
