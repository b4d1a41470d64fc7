// Problems that take the ways through the runtime, each with the calls of a training step.
#pragma once

#include "api.h"

namespace problems {

using api::fill;
using api::same_bits;

// Everything that a pair of calls writes.
struct Results {
    std::vector<float> y, dx, dgamma, dbeta;
    std::vector<double> mean, variance, m2, merged;

    bool operator==(const Results &other) const {
        return same_bits(y, other.y) && same_bits(dx, other.dx) && same_bits(dgamma, other.dgamma) &&
               same_bits(dbeta, other.dbeta) && same_bits(mean, other.mean) && same_bits(variance, other.variance) &&
               same_bits(m2, other.m2) && same_bits(merged, other.merged);
    }
};

struct Given {
    std::vector<int64_t> shape;
    hnorm_group group;
    int last;
    float scale;  // of x
};
// Subnormal numbers, too; few channels, planes with lanes beyond the data, tensors that threads
// share.
inline const Given kGiven[] = {{{16, 8, 1, 1}, HNORM_BATCH, 0, 1},       {{4, 8, 7, 7}, HNORM_BATCH, 1, 1},
                               {{2, 3, 41, 43}, HNORM_BATCH, 0, 1},      {{2, 3, 41, 43}, HNORM_BATCH, 1, 1},
                               {{8, 64, 14, 14}, HNORM_BATCH, 0, 1},     {{8, 64, 14, 14}, HNORM_INSTANCE, 1, 1},
                               {{2, 64, 56, 56}, HNORM_INSTANCE, 0, 1},  {{64, 70, 2, 2}, HNORM_BATCH, 0, 1},
                               {{2, 5, 33, 31}, HNORM_BATCH, 0, 1e-40f}, {{8, 64, 28, 28}, HNORM_BATCH, 0, 1e-40f},
                               {{8, 64, 28, 28}, HNORM_BATCH, 1, 1e-40f}};

// The calls of a problem, whose data are made beforehand: what is subnormal is not flushed in the
// making.
class Calls {
public:
    explicit Calls(const Given &given) : given_(given) {
        size_t size = 1;
        for (int64_t extent : given.shape) size *= static_cast<size_t>(extent);
        x_.resize(size);
        dy_.resize(size);
        fill(x_, 3);
        fill(dy_, 4);
        for (float &value : x_) value *= given.scale;
    }

    Results run(int threads) {
        const auto channels = static_cast<size_t>(given_.shape[1]);
        const size_t groups = given_.group == HNORM_BATCH ? channels : channels * static_cast<size_t>(given_.shape[0]);
        Results r;
        r.y.resize(x_.size());
        r.dx.resize(x_.size());
        r.dgamma.resize(channels);
        r.dbeta.resize(channels);
        for (std::vector<double> *list : {&r.mean, &r.variance, &r.m2, &r.merged}) list->resize(groups);
        const auto view = [&](std::vector<float> &values) {
            return hnorm_dense(values.data(), HNORM_F32, given_.last, static_cast<int>(given_.shape.size()),
                               given_.shape.data());
        };
        const hnorm_tensor x = view(x_), y = view(r.y), dy = view(dy_), dx = view(r.dx);
        const std::vector<float> gamma(channels, 1.25f), beta(channels, -0.5f);
        const hnorm_affine affine = hnorm_affine_of(gamma.data(), beta.data());
        const hnorm_post_ops_gradient post = {sizeof(hnorm_post_ops_gradient), HNORM_RELU, 0, nullptr, nullptr};
        const double eps = given_.scale == 1 ? 1e-5 : 0;  // without it subnormal numbers are as any others
        std::vector<double> count(groups), third(groups, 1.0 / 3), ones(groups, 1);
        status_ = hnorm_set_num_threads(threads);
        note(hnorm_forward(&x, given_.group, &affine, eps, nullptr, &y, r.mean.data(), r.variance.data()));
        note(hnorm_backward(&x, &dy, given_.group, r.mean.data(), r.variance.data(), &affine, eps, &post, &dx,
                            r.dgamma.data(), r.dbeta.data()));
        note(hnorm_moments(&x, given_.group, count.data(), r.merged.data(), r.m2.data()));
        note(hnorm_merge_moments(static_cast<int64_t>(groups), count.data(), r.merged.data(), r.m2.data(), ones.data(),
                                 third.data(), third.data()));
        return r;
    }
    hnorm_status status() const { return status_; }  // of the latest run; Catch is not asked in odd environments

private:
    void note(hnorm_status status) { status_ = status_ == HNORM_OK ? status : status_; }

    const Given &given_;
    std::vector<float> x_, dy_;
    hnorm_status status_ = HNORM_OK;
};

}  // namespace problems
