#include "gradients.h"

#include <algorithm>
#include <cmath>

#include "error.h"

namespace hnorm::detail {

GradientSums::GradientSums(const Backward &b) : b_(b), group_(summed_group(b)), groups_(b.x.groups(group_)) {}

void GradientSums::write_parameter_gradients() {
    const Range all = {0, b_.x.n, 0, b_.x.c};
    if (b_.dgamma) {
        double *const sums = dy_xmu(all);
        const int64_t stride_n = groups_stride(b_.x, b_.group);
        for_each_plane(groups_ / b_.x.c, b_.x.c, [&](int64_t n, int64_t c, int64_t i) {
            sums[i] *= 1 / std::sqrt(b_.variance[n * stride_n + c] + b_.eps);
        });
        write(sums, b_.dgamma);
    }
    if (b_.dbeta) {
        write(dy(all), b_.dbeta);
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
