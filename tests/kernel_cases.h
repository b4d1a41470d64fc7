// What each kernel of the manifest is given and must give, by the transcription: for
// test_kernels.cpp, which calls kernels with it, and for the digests. Nothing here is linked with
// kernels.
#pragma once

#include "expected.h"
#include "manifest.h"

#include <map>
#include <string>
#include <vector>

namespace test {

// The manifest.
struct ManifestKernel {
    std::string name, signature, planes;
};
inline const std::vector<ManifestKernel> kManifestKernels = {
#define KERNEL(name, signature, planes, index) {#name, #signature, #planes},
    HNORM_FOR_EACH_KERNEL(KERNEL)
#undef KERNEL
};
inline const std::vector<std::string> kManifestPlanes = {HNORM_PLANES};
constexpr hnorm_type kManifestTypes[] = {HNORM_TYPES};

// Tensors of the current format and a value a group of all else, over (g0, g1). They fit each other
// as in a layer, so that a center is near the data and the activation's sign goes both ways; what
// is a result of sums elsewhere may be any number.
struct KernelInputs {
    hnorm_group group;
    Tensor x, dy, residual, y;  // y: forward's, without an activation
    float slope;
    std::vector<float> m, a, b, scale, k1, power, k2;
    std::vector<float> ones, scale_x, scale_dy, center, scaled_center;  // scaled_center: of x*scale_x

    // fill(x, dy) makes the data.
    template <typename Fill>
    KernelInputs(hnorm_group group_, const Shape &shape, const Padding &padding, uint64_t seed, Fill fill_data)
        : group(group_),
          x(shape, padding),
          dy(shape, {padding.n, padding.c, padding.at_end}),
          residual(shape, {padding.n % 3, 1, !padding.at_end}),
          y(shape, {2, 1, false}),
          slope(kActivations[seed % 5].slope()) {
        fill_data(x, dy);
        fill(residual, {Kind::kNormal, 0, 1, seed + 9000});
        const Affine affine(AffineKind::kChannel, x, seed);
        const Statistics moments = transcribed_moments(x, group, Order::kKernel);
        const std::vector<double> variance = variances(moments);
        Random random(seed);
        for (int64_t i = 0; i < group_count(x, group); i++) {
            const int64_t c = i % x.channels();
            const size_t g = static_cast<size_t>(i);
            const transcription::Pointwise z(moments.mean[g], variance[g], affine.gamma(0, c), affine.beta(0, c), 1e-5);
            m.push_back(z.m);
            a.push_back(z.a);
            b.push_back(z.b);
            power.push_back(std::ldexp(1.0f, static_cast<int>(i % 5) - 2));
            for (std::vector<float> *list : {&scale, &k1, &k2}) list->push_back(static_cast<float>(random.normal()));
            // Scales that keep what is ordinary so, and others.
            const transcription::Group of_x = group_of_x(i);
            const transcription::Probe probe = transcription::probe(of_x, 1);
            ones.push_back(1);
            center.push_back(probe.center);
            scale_x.push_back(std::ldexp(transcription::scale(probe.spread), static_cast<int>(i % 5) - 2));
            scaled_center.push_back(transcription::probe(of_x, scale_x.back()).center);
            scale_dy.push_back(std::ldexp(1.0f, static_cast<int>(i % 7) - 3));
        }
        std::vector<float> values;
        each_element([&](size_t g, size_t, int64_t n, int64_t c, int64_t s) {
            values.push_back(transcription::Pointwise(m[g], a[g], b[g])(x.at(n, c, s)));
        });
        y.set_elements(values);
    }

    // Calls visit(group, number of the element, n, c, s) for all elements in their dense order.
    template <typename Visit>
    void each_element(Visit visit) const {
        size_t i = 0;
        for (int64_t n = 0; n < x.samples(); n++)
            for (int64_t c = 0; c < x.channels(); c++)
                for (int64_t s = 0; s < x.positions(); s++, i++)
                    visit(static_cast<size_t>(group_of(x, group, n, c)), i, n, c, s);
    }
    transcription::Group group_of_x(int64_t g) const { return group_of_tensor(x, g); }
    transcription::Group group_of_dy(int64_t g) const { return group_of_tensor(dy, g); }
    transcription::Cut cut() const {
        const transcription::Group any = group_of_x(0);
        return {any.S, any.N, any.last};
    }

private:
    transcription::Group group_of_tensor(const Tensor &tensor, int64_t g) const {
        return transcribed_group(tensor, group, g / x.channels(), g % x.channels(), Order::kKernel);
    }
};

// All that a call writes, output by output; doubles hold floats and magnitudes exactly.
using Results = std::vector<double>;

// Where a kernel may write the tensor that it gives.
enum class Place { kApart, kX, kDy, kResidual, kY };

inline const char *name(Place place) {
    constexpr const char *kNames[] = {"", " in place of x", " in place of dy", " in place of the residual",
                                      " in place of y"};
    return kNames[static_cast<int>(place)];
}

// The kernels of one signature. A variant is what its arguments ask for besides the data.
struct KernelCase {
    std::vector<std::string> variants;
    Results (*results)(const KernelInputs &, int variant);
    std::vector<Place> places = {Place::kApart};
};

namespace cases {

inline Results together(const std::vector<Results> &lists) {
    Results all;
    for (const Results &list : lists) all.insert(all.end(), list.begin(), list.end());
    return all;
}

inline Results probe(const KernelInputs &in, int scaled) {
    Results centers, spreads;
    for (int64_t g = 0; g < group_count(in.x, in.group); g++) {
        const transcription::Probe probe =
            transcription::probe(in.group_of_x(g), scaled ? in.scale_x[static_cast<size_t>(g)] : 1);
        centers.push_back(probe.center);
        spreads.push_back(probe.spread);
    }
    return together({centers, spreads});
}

// E, Q and, of `measured` values, the greatest magnitudes, by run. at(g, s, r): the terms of group
// g.
template <typename TermsAt>
Results by_run(const KernelInputs &in, size_t measured, TermsAt at) {
    const transcription::Cut cut = in.cut();
    const int64_t C = in.x.channels();
    std::vector<Results> lists(2 + measured);
    for (int64_t first = 0; first < group_count(in.x, in.group); first += C)
        for (int64_t b = 0; b < cut.B; b++)
            for (int64_t a = 0; a < cut.A; a++)
                for (int64_t g = first; g < first + C; g++) {
                    const transcription::Sums sums = transcription::sum_over_run(
                        cut, a, b, [&](int64_t s, int64_t r) { return at(static_cast<size_t>(g), s, r); });
                    const double values[] = {sums.E, sums.Q, static_cast<double>(sums.first),
                                             static_cast<double>(sums.second)};
                    for (size_t i = 0; i < lists.size(); i++) lists[i].push_back(values[i]);
                }
    return together(lists);
}

inline float x_at(const KernelInputs &in, size_t g, int64_t s, int64_t r) {
    return in.group_of_x(static_cast<int64_t>(g))(s, r);
}

inline Results moments(const KernelInputs &in, int) {
    return by_run(in, 0, [&](size_t g, int64_t s, int64_t r) {
        const float d = x_at(in, g, s, r) - in.center[g];
        return transcription::Terms{d, d * d, 0, 0};
    });
}

inline Results moments_measured(const KernelInputs &in, int) {
    return by_run(in, 1, [&](size_t g, int64_t s, int64_t r) {
        const float d = x_at(in, g, s, r) * in.scale_x[g] - in.scaled_center[g];
        return transcription::Terms{d, d * d, d, 0};
    });
}

inline float z(const KernelInputs &in, size_t g, float x) {
    return transcription::Pointwise(in.m[g], in.a[g], in.b[g])(x);
}

// dy behind the gradient of an activation of that slope, in group g.
inline float dz_at(const KernelInputs &in, size_t g, int64_t s, int64_t r, float slope) {
    const float dy = in.group_of_dy(static_cast<int64_t>(g))(s, r);
    return transcription::activated_gradient(z(in, g, x_at(in, g, s, r)), dy, slope);
}

inline Results backward_reduce(const KernelInputs &in, int relu) {
    return by_run(in, 0, [&](size_t g, int64_t s, int64_t r) {
        const float dz = dz_at(in, g, s, r, relu ? 0 : 1), d = x_at(in, g, s, r) - in.m[g];
        return transcription::Terms{dz, dz * d, 0, 0};
    });
}

inline Results backward_reduce_measured(const KernelInputs &in, int activation) {
    return by_run(in, 2, [&](size_t g, int64_t s, int64_t r) {
        const float dz = dz_at(in, g, s, r, activation ? in.slope : 1) * in.scale_dy[g];
        const float d = x_at(in, g, s, r) * in.scale_x[g] - in.m[g] * in.scale_x[g];
        return transcription::Terms{dz, dz * d, dz, d};
    });
}

// value(g, n, c, s), as an element
template <typename Value>
Results elementwise(const KernelInputs &in, Value value) {
    Results all;
    in.each_element([&](size_t g, size_t, int64_t n, int64_t c, int64_t s) {
        all.push_back(rounded(value(g, n, c, s), in.x.format()));
    });
    return all;
}

inline Results normalize(const KernelInputs &in, int) {
    return elementwise(in, [&](size_t g, int64_t n, int64_t c, int64_t s) {
        return transcription::activated(z(in, g, in.x.at(n, c, s)), in.slope);
    });
}

inline Results normalize_residual(const KernelInputs &in, int) {
    return elementwise(in, [&](size_t g, int64_t n, int64_t c, int64_t s) {
        return transcription::activated(z(in, g, in.x.at(n, c, s)) + in.residual.at(n, c, s), in.slope);
    });
}

inline Results backward_apply(const KernelInputs &in, int activation) {
    return elementwise(in, [&](size_t g, int64_t n, int64_t c, int64_t s) {
        const float x = in.x.at(n, c, s), dy = in.dy.at(n, c, s);
        const transcription::BackwardPointwise dx(in.m[g], in.scale[g], in.k1[g], in.power[g], in.k2[g]);
        return dx(x, activation ? transcription::activated_gradient(z(in, g, x), dy, in.slope) : dy);
    });
}

inline Results activation_backward(const KernelInputs &in, int) {
    return elementwise(in, [&](size_t, int64_t n, int64_t c, int64_t s) {
        return transcription::activated_gradient(in.y.at(n, c, s), in.dy.at(n, c, s), in.slope);
    });
}

}  // namespace cases

inline const std::map<std::string, KernelCase> kKernelCases = {
    {"ProbeKernel", {{"scales 1", "scales"}, cases::probe}},
    {"MomentsKernel", {{""}, cases::moments}},
    {"MomentsMeasuredKernel", {{""}, cases::moments_measured}},
    {"NormalizeKernel", {{""}, cases::normalize, {Place::kApart, Place::kX}}},
    {"NormalizeResidualKernel", {{""}, cases::normalize_residual, {Place::kApart, Place::kX, Place::kResidual}}},
    {"BackwardReduceKernel", {{"no activation", "ReLU"}, cases::backward_reduce}},
    {"BackwardReduceMeasuredKernel", {{"no activation", "activation"}, cases::backward_reduce_measured}},
    {"BackwardApplyKernel",
     {{"no activation", "activation"}, cases::backward_apply, {Place::kApart, Place::kX, Place::kDy}}},
    {"ActivationBackwardKernel", {{""}, cases::activation_backward, {Place::kApart, Place::kDy, Place::kY}}},
};

}  // namespace test
