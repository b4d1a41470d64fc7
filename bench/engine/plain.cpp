#include "plain.h"

#include <cmath>
#include <memory>
#include <vector>

namespace hnorm::bench {
namespace {

constexpr double kEps = 1e-5;

// N samples of C channels of S positions.
struct Extents {
    int64_t n, c, s;

    int64_t of_channel() const { return n * s; }
    int64_t elements() const { return n * c * s; }
};

// Of each channel. The floats are the factors of the pointwise loops.
struct Channels {
    std::vector<double> mean, variance, sum_dy, sum_dy_xmu;
    std::vector<float> gamma, beta, dgamma, dbeta, center, scale, k1, k2;

    void reserve(int64_t count) {
        for (auto *values : {&mean, &variance, &sum_dy, &sum_dy_xmu}) values->resize(count);
        for (auto *values : {&gamma, &beta, &dgamma, &dbeta, &center, &scale, &k1, &k2}) values->resize(count, 0.5f);
    }

    void forward_factors(int64_t c) {
        center[c] = static_cast<float>(mean[c]);
        scale[c] = static_cast<float>(gamma[c] / std::sqrt(variance[c] + kEps));
    }
    void backward_factors(int64_t c, int64_t count) {
        const double invstd = 1 / std::sqrt(variance[c] + kEps);
        dgamma[c] += static_cast<float>(sum_dy_xmu[c] * invstd);
        dbeta[c] += static_cast<float>(sum_dy[c]);
        center[c] = static_cast<float>(mean[c]);
        scale[c] = static_cast<float>(gamma[c] * invstd);
        k1[c] = static_cast<float>(sum_dy[c] / static_cast<double>(count));
        k2[c] = static_cast<float>(sum_dy_xmu[c] * invstd * invstd / static_cast<double>(count));
    }
};

// Channels-first: a channel after the other.

void forward_first(const float *__restrict x, float *__restrict y, const Extents &e, Channels &of) {
    const double count = static_cast<double>(e.of_channel());
    for (int64_t c = 0; c < e.c; c++) {
        double sum = 0, squares = 0;
        for (int64_t n = 0; n < e.n; n++)
            for (int64_t s = 0; s < e.s; s++) sum += x[(n * e.c + c) * e.s + s];
        const double mean = sum / count;
        for (int64_t n = 0; n < e.n; n++)
            for (int64_t s = 0; s < e.s; s++) {
                const double d = x[(n * e.c + c) * e.s + s] - mean;
                squares += d * d;
            }
        of.mean[c] = mean;
        of.variance[c] = squares / count;
        of.forward_factors(c);
        const float center = of.center[c], scale = of.scale[c], beta = of.beta[c];
        for (int64_t n = 0; n < e.n; n++)
            for (int64_t s = 0; s < e.s; s++) {
                const int64_t i = (n * e.c + c) * e.s + s;
                y[i] = (x[i] - center) * scale + beta;
            }
    }
}

void backward_first(const float *__restrict x, const float *__restrict dy, float *__restrict dx, const Extents &e,
                    Channels &of) {
    for (int64_t c = 0; c < e.c; c++) {
        const double mean = of.mean[c];
        double sum_dy = 0, sum_dy_xmu = 0;
        for (int64_t n = 0; n < e.n; n++)
            for (int64_t s = 0; s < e.s; s++) {
                const int64_t i = (n * e.c + c) * e.s + s;
                sum_dy += dy[i];
                sum_dy_xmu += dy[i] * (x[i] - mean);
            }
        of.sum_dy[c] = sum_dy;
        of.sum_dy_xmu[c] = sum_dy_xmu;
        of.backward_factors(c, e.of_channel());
        const float center = of.center[c], scale = of.scale[c], k1 = of.k1[c], k2 = of.k2[c];
        for (int64_t n = 0; n < e.n; n++)
            for (int64_t s = 0; s < e.s; s++) {
                const int64_t i = (n * e.c + c) * e.s + s;
                dx[i] = (dy[i] - k1 - (x[i] - center) * k2) * scale;
            }
    }
}

// Channels-last: a row of all channels after the other. No array overlaps another, which the
// compiler is told.

void add_row(const float *__restrict x, double *__restrict sum, int64_t channels) {
    for (int64_t c = 0; c < channels; c++) sum[c] += x[c];
}

void add_squares(const float *__restrict x, const double *__restrict mean, double *__restrict sum, int64_t channels) {
    for (int64_t c = 0; c < channels; c++) {
        const double d = x[c] - mean[c];
        sum[c] += d * d;
    }
}

void normalize_row(const float *__restrict x, const float *__restrict center, const float *__restrict scale,
                   const float *__restrict beta, float *__restrict y, int64_t channels) {
    for (int64_t c = 0; c < channels; c++) y[c] = (x[c] - center[c]) * scale[c] + beta[c];
}

void forward_last(const float *x, float *y, const Extents &e, Channels &of) {
    const double count = static_cast<double>(e.of_channel());
    for (int64_t c = 0; c < e.c; c++) of.mean[c] = of.variance[c] = 0;
    for (int64_t i = 0; i < e.elements(); i += e.c) add_row(x + i, of.mean.data(), e.c);
    for (int64_t c = 0; c < e.c; c++) of.mean[c] /= count;
    for (int64_t i = 0; i < e.elements(); i += e.c) add_squares(x + i, of.mean.data(), of.variance.data(), e.c);
    for (int64_t c = 0; c < e.c; c++) {
        of.variance[c] /= count;
        of.forward_factors(c);
    }
    for (int64_t i = 0; i < e.elements(); i += e.c)
        normalize_row(x + i, of.center.data(), of.scale.data(), of.beta.data(), y + i, e.c);
}

void add_gradients(const float *__restrict x, const float *__restrict dy, const double *__restrict mean,
                   double *__restrict sum_dy, double *__restrict sum_dy_xmu, int64_t channels) {
    for (int64_t c = 0; c < channels; c++) {
        sum_dy[c] += dy[c];
        sum_dy_xmu[c] += dy[c] * (x[c] - mean[c]);
    }
}

void differentiate_row(const float *__restrict x, const float *__restrict dy, const float *__restrict center,
                       const float *__restrict scale, const float *__restrict k1, const float *__restrict k2,
                       float *__restrict dx, int64_t channels) {
    for (int64_t c = 0; c < channels; c++) dx[c] = (dy[c] - k1[c] - (x[c] - center[c]) * k2[c]) * scale[c];
}

void backward_last(const float *x, const float *dy, float *dx, const Extents &e, Channels &of) {
    for (int64_t c = 0; c < e.c; c++) of.sum_dy[c] = of.sum_dy_xmu[c] = 0;
    for (int64_t i = 0; i < e.elements(); i += e.c)
        add_gradients(x + i, dy + i, of.mean.data(), of.sum_dy.data(), of.sum_dy_xmu.data(), e.c);
    for (int64_t c = 0; c < e.c; c++) of.backward_factors(c, e.of_channel());
    for (int64_t i = 0; i < e.elements(); i += e.c)
        differentiate_row(x + i, dy + i, of.center.data(), of.scale.data(), of.k1.data(), of.k2.data(), dx + i, e.c);
}

}  // namespace

bool has_plain_loop(const Case &c) {
    return (c.operation->function == Function::kForward || c.operation->function == Function::kBackward) &&
           c.operation->post == PostOps::kNone && c.type == HNORM_F32 &&
           (c.group == HNORM_BATCH || c.group == HNORM_INSTANCE);
}

std::function<void()> plain_call(Calls &calls, const Case &c) {
    const bool forward = c.operation->function == Function::kForward;
    const int64_t samples = c.shape[0], channels = c.shape[1], positions = c.elements() / (samples * channels);
    // Instance norm is batch norm of one sample after the other. One channel's groups have no gaps,
    // and with one position the layouts are the same.
    Extents e{samples, channels, positions};
    int64_t times = 1;
    if (c.group == HNORM_INSTANCE) {
        e.n = 1;
        times = samples;
    }
    if (e.c == 1) e = {1, 1, e.n * e.s};
    const bool last = e.c > 1 && (c.channels_last || e.s == 1);
    const auto of = std::make_shared<Channels>();
    const auto floats = [&](const char *name) { return static_cast<float *>(calls.memory(name)); };
    return [=, x = floats("x"), dy = floats("dy"), y = floats("y")] {
        of->reserve(channels);  // at the first call: most rows make none
        for (int64_t i = 0; i < times * e.elements(); i += e.elements()) {
            if (forward)
                last ? forward_last(x + i, y + i, e, *of) : forward_first(x + i, y + i, e, *of);
            else
                last ? backward_last(x + i, dy + i, y + i, e, *of) : backward_first(x + i, dy + i, y + i, e, *of);
        }
    };
}

}  // namespace hnorm::bench
