#include "gradients.h"

#include <algorithm>
#include <cmath>

#include "error.h"
#include "wide.h"

namespace hnorm::detail {

GradientSums::GradientSums(const Backward &b) : b_(b), group_(summed_group(b)), groups_(b.x.groups(group_)) {}

void GradientSums::weigh(const Range &range) {
    if (!b_.dgamma) {
        return;
    }
    const int64_t samples = group_ == HNORM_BATCH ? 1 : range.n_end - range.n_begin;
    const int64_t channels = range.c_end - range.c_begin, stride_n = groups_stride(b_.x, b_.group);
    for (int64_t n = 0; n < samples; ++n) {
        double *const sums = dy_xmu(range) + n * groups_stride(b_.x, group_);
        const double *const variance = b_.variance + range.first(stride_n) + n * stride_n;
        wide([&]() HNORM_INLINED {
            for (int64_t c = 0; c < channels; ++c) {
                sums[c] *= invstd(variance[c], b_.eps);
            }
        });
    }
}

void GradientSums::write_parameter_gradients() {
    const Range all = {0, b_.x.n, 0, b_.x.c};
    if (b_.dgamma) {
        write(dy_xmu(all), b_.dgamma);
    }
    if (b_.dbeta) {
        write(dy(all), b_.dbeta);
    }
}

// One gradient a group, or, shared by the groups of a channel, their sum in sums' first row.
void GradientSums::write(double *sums, float *gradient) {
    const int64_t channels = b_.x.c;
    for (int64_t first = channels; first < groups_ && !b_.per_sample; first += channels) {
        for (int64_t c = 0; c < channels; ++c) {
            sums[c] += sums[first + c];
        }
    }
    std::copy_n(sums, b_.per_sample ? groups_ : channels, gradient);
}

}  // namespace hnorm::detail
