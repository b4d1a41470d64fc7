// A C++ program over the installed library: the README's example on data whose results it can tell.
#include <hnorm/hnorm.hpp>

#include <cmath>
#include <cstdio>
#include <stdexcept>
#include <vector>

namespace {

constexpr int64_t kSamples = 4, kChannels = 64, kHeight = 9, kWidth = 7, kPlane = kHeight * kWidth;

// The mean and the biased variance of a channel of y.
void require_moments(const char *what, const std::vector<float> &y, int64_t channel, double mean, double variance) {
    double sum = 0, squares = 0;
    for (int64_t n = 0; n < kSamples; n++) {
        const float *plane = &y[(n * kChannels + channel) * kPlane];
        for (int64_t s = 0; s < kPlane; s++) sum += plane[s], squares += double(plane[s]) * plane[s];
    }
    const double count = kSamples * kPlane, actual = sum / count, spread = squares / count - actual * actual;
    if (std::fabs(actual - mean) <= 1e-3 && std::fabs(spread - variance) <= 1e-3) return;
    std::fprintf(stderr, "%s: mean %g and variance %g, not %g and %g\n", what, actual, spread, mean, variance);
    throw std::runtime_error("wrong result");
}

}  // namespace

int main() {
    std::vector<float> data(kSamples * kChannels * kPlane), out(data.size());
    for (size_t i = 0; i < data.size(); i++) data[i] = float(i * 2654435761u % 1000) / 100;  // 0 to 10

    hnorm::BatchNorm bn(kChannels);
    hnorm::Tensor x = hnorm::nchw(data.data(), {kSamples, kChannels, kHeight, kWidth});
    hnorm::Tensor y = hnorm::nchw(out.data(), {kSamples, kChannels, kHeight, kWidth});
    bn.forward(x, y);
    require_moments("batch norm, training", out, 5, 0, 1);
    std::vector<float> gradient(out.size(), 1), result(out.size(), 1);
    bn.backward(x, hnorm::nchw(gradient.data(), {kSamples, kChannels, kHeight, kWidth}),
                hnorm::nchw(result.data(), {kSamples, kChannels, kHeight, kWidth}));
    require_moments("batch norm's gradient of a sum, which it keeps", result, 5, 0, 0);
    if (bn.beta_grad()[5] != kSamples * kPlane) throw std::runtime_error("wrong gradient of beta");
    bn.eval();
    bn.forward(x, y);

    hnorm::InstanceNorm in(kChannels, hnorm::Options().affine(true));
    in.forward(x, y);
    require_moments("instance norm", out, 5, 0, 1);

    const std::vector<float> mean(kChannels, 0), variance(kChannels, 1), offset(kChannels, 3), scale(kChannels, 0);
    hnorm::batch_normalization(x, mean, variance, offset, scale, 1e-3, y);
    require_moments("batch_normalization", out, 5, 3, 0);

    std::printf("C++, hnorm %s, %s: right\n", hnorm_version(), hnorm_target());
    return 0;
}
