// What the tests of backward's API share: a call's arguments, and the functions that take them.
#pragma once

#include "api.h"

#include <sstream>

namespace api {

// Good arguments of every function, on tensors of one shape; results are sentinels.
struct BackwardCall {
    explicit BackwardCall(const std::vector<int64_t> &shape, hnorm_group its_group = HNORM_BATCH, uint32_t seed = 1)
        : group(its_group), in(shape, seed), out(shape, seed + 100) {
        const size_t planes = static_cast<size_t>(shape[0] * shape[1]);
        size_t positions = 1;
        for (size_t axis = 2; axis < shape.size(); axis++) positions *= static_cast<size_t>(shape[axis]);
        groups = group == HNORM_BATCH ? static_cast<size_t>(shape[1]) : planes;
        count.assign(groups, static_cast<double>(positions * (planes / std::max<size_t>(groups, 1))));
        for (size_t g = 0; g < groups; g++) {
            mean.push_back(0.125 * static_cast<double>(g % 5) - 0.25);
            variance.push_back(0.25 + static_cast<double>(g % 3));
            sum_dy_given.push_back(static_cast<double>(g % 7) - 3);
            sum_dy_xmu_given.push_back(1.5 - static_cast<double>(g % 4));
        }
        gamma.resize(planes), beta.resize(planes);
        fill(gamma, seed + 200);
        fill(beta, seed + 300);
        clear();
        affine = hnorm_affine_of(gamma.data(), beta.data());
        x = in.in, dy = out.in, dx = in.out;
    }

    void clear() {
        in.y.fill(kSentinel);
        sum_dy.assign(groups, kSentinelDouble), sum_dy_xmu = sum_dy;
        dgamma.assign(gamma.size(), kSentinel), dbeta = dgamma;
    }
    bool untouched() const {
        return all_are(in.y, kSentinel) && all_are(sum_dy, kSentinelDouble) && all_are(sum_dy_xmu, kSentinelDouble) &&
               all_are(dgamma, kSentinel) && all_are(dbeta, kSentinel);
    }
    std::string describe() const {
        std::ostringstream out;
        out << "shape";
        for (int axis = 0; axis < x.rank; axis++) out << (axis ? "," : " ") << x.shape[axis];
        out << (group == HNORM_BATCH ? ", batch" : ", instance") << ", affine.stride_n " << affine.stride_n;
        return out.str();
    }
    const Elements &dx_values() const { return in.y; }

    hnorm_status reduce() {
        return hnorm_backward_reduce(&x, &dy, group, mean.data(), sum_dy.data(), sum_dy_xmu.data());
    }
    hnorm_status apply() {
        return hnorm_backward_apply(&x, &dy, group, count.data(), mean.data(), variance.data(), sum_dy_given.data(),
                                    sum_dy_xmu_given.data(), &affine, eps, &dx);
    }
    hnorm_status backward() {
        return hnorm_backward(&x, &dy, group, mean.data(), variance.data(), &affine, eps, post, &dx, dgamma.data(),
                              dbeta.data());
    }
    hnorm_status normalize_backward() {
        return hnorm_normalize_backward(&x, &dy, group, mean.data(), variance.data(), &affine, eps, post, &dx,
                                        dgamma.data(), dbeta.data());
    }

    hnorm_group group;
    Pair in, out;  // x and dx, dy and nothing
    size_t groups;
    std::vector<double> count, mean, variance, sum_dy_given, sum_dy_xmu_given, sum_dy, sum_dy_xmu;
    std::vector<float> gamma, beta, dgamma, dbeta;
    double eps = 1e-5;
    hnorm_affine affine;
    const hnorm_post_ops_gradient *post = nullptr;
    hnorm_tensor x, dy, dx;
};

struct BackwardFunction {
    const char *name;
    bool writes_dx;
    hnorm_status (BackwardCall::*call)();
};

constexpr BackwardFunction kBackwardFunctions[] = {
    {"hnorm_backward_reduce", false, &BackwardCall::reduce},
    {"hnorm_backward_apply", true, &BackwardCall::apply},
    {"hnorm_backward", true, &BackwardCall::backward},
    {"hnorm_normalize_backward", true, &BackwardCall::normalize_backward},
};

}  // namespace api
