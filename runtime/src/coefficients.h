// The coefficients of the pointwise parts (docs/order.md): floats for each group, from statistics
// and parameters, on the CPU.
#pragma once

#include <cmath>

#include "gathered.h"
#include "scratch.h"
#include "values.h"

namespace hnorm::detail {

struct Cpu;

// 1 / sqrt(variance + eps), or 0 where that sum is 0 (docs/order.md).
inline double invstd(double variance, double eps) { return variance + eps == 0 ? 0 : 1 / std::sqrt(variance + eps); }

// Arrays of floats: one for each channel of each sample, or one for each channel.
template <int kArrays>
class FloatArrays {
public:
    explicit FloatArrays(const Cpu &) {}
    Values<float> array(int i) const { return {memory_.data() + i * count_, stride_n_}; }

protected:
    hnorm_status reserve(const char *function, const CheckedTensor &x, bool per_sample, int arrays = kArrays) {
        stride_n_ = per_sample ? x.c : 0;
        count_ = (per_sample ? x.n : 1) * x.c;
        return memory_.reserve(function, arrays * count_);
    }
    // Calls compute(gathered, count, place of the first float) for groups that lie side by side.
    // gathered(values): theirs.
    template <typename Compute>
    void for_groups(const CheckedTensor &x, const Compute &compute) {
        for_together(count_ / x.c, x.c, [&](int64_t n, int64_t c, int64_t count, int64_t first) {
            compute([&](const auto &values) { return Gathered(values, x.c, n, c, count); }, count,
                    memory_.data() + first);
        });
    }

    ScratchOf<float> memory_;
    int64_t count_ = 0, stride_n_ = 0;
};

// Forward's: y = (x - m) * a + b.
class Coefficients : public FloatArrays<3> {
public:
    using FloatArrays::FloatArrays;
    hnorm_status compute(const char *function, const CheckedTensor &x, const Normalization &by);
    // m alone
    hnorm_status compute_m(const char *function, const CheckedTensor &x, const Values<double> &mean);
    Values<float> m() const { return array(0); }
    Values<float> a() const { return array(1); }
    Values<float> b() const { return array(2); }
};

// Backward's: dx = (dy * scale - k1) - ((x - m) * power) * k2. The arrays are m, scale, k1, power
// and k2.
class GradientCoefficients : public FloatArrays<5> {
public:
    using FloatArrays::FloatArrays;
    hnorm_status compute(const char *function, const CheckedTensor &x, const Normalization &by,
                         const WeightedSums &sums);
};

// What backward needs of forward: m, and a and b for the sign of the activation. Without an
// activation, a and b are m.
struct Gate {
    Values<float> m, a, b;
    float slope = 1;
};

// The same with the memory of its values.
class GateValues : public Gate {
public:
    explicit GateValues(const Cpu &on) : coefficients_(on) {}
    hnorm_status compute(const char *function, const CheckedTensor &x, const Normalization &by, float its_slope);

private:
    Coefficients coefficients_;
};

}  // namespace hnorm::detail
