// The CPU's update of the running statistics of a layer.
#include "cpu.h"

namespace hnorm::detail {

hnorm_status Cpu::track(const Track &step) const {
    const auto samples = static_cast<double>(step.samples);
    for (int64_t c = 0; c < step.channels; ++c) {
        double mean = 0, variance = 0;
        for (int64_t n = 0; n < step.samples; ++n) {
            mean += step.mean[n * step.channels + c];
            variance += step.variance[n * step.channels + c];
        }
        mean /= samples;
        variance = variance / samples * step.correction;
        double &running_mean = step.running_mean[c], &running_variance = step.running_variance[c];
        running_mean = (1 - step.momentum) * running_mean + step.momentum * mean;
        running_variance = (1 - step.momentum) * running_variance + step.momentum * variance;
    }
    return HNORM_OK;
}

}  // namespace hnorm::detail
