#include "gradients.h"

#include <algorithm>
#include <cmath>

#include "error.h"

namespace hnorm::detail {

GradientSums::GradientSums(const Backward &b) : b_(b), group_(summed_group(b)), groups_(b.x.groups(group_)) {}

hnorm_status GradientSums::reduce(const char *function, const Machine &machine) {
    return compute_backward_reduce(function, machine, b_.x, b_.dy, group_, forward_part(b_), dy(), dy_xmu());
}

void GradientSums::write_parameter_gradients() {
    if (b_.dgamma) {
        const int64_t stride_n = statistics_stride(b_.x, b_.group);
        for_each_plane(groups_ / b_.x.c, b_.x.c, [&](int64_t n, int64_t c, int64_t i) {
            dy_xmu()[i] *= 1 / std::sqrt(b_.variance[n * stride_n + c] + b_.eps);
        });
        write(dy_xmu(), b_.dgamma);
    }
    if (b_.dbeta) {
        write(dy(), b_.dbeta);
    }
}

// One gradient a group, or, shared by the groups of a channel, their sum in sums' first row.
void GradientSums::write(double *sums, float *gradient) const {
    if (!b_.per_sample) {
        for_each_plane(groups_ / b_.x.c, b_.x.c,
                       [&](int64_t n, int64_t c, int64_t i) { sums[c] = n == 0 ? sums[c] : sums[c] + sums[i]; });
    }
    std::copy_n(sums, b_.per_sample ? groups_ : b_.x.c, gradient);
}

}  // namespace hnorm::detail
