// One right call of every function that takes tensors, with all that it reads and writes.
#pragma once

#include "expected.h"
#include "format.h"

namespace test {

class Calls {
public:
    explicit Calls(const Shape &shape, hnorm_group group_, const Padding (&paddings)[3] = {}, double scale = 1)
        : x_(shape, paddings[0]), y_(shape, paddings[1]), dy_(shape, paddings[2]), group(group_) {
        fill(x_, {Kind::kNormal, 0, scale, 7});
        fill(y_, {Kind::kNormal, 0, 1, 8});
        fill(dy_, {Kind::kNormal, 0, 1, 9});
        x = x_.view(), y = y_.view(), dy = dy_.view();
        const auto groups = static_cast<size_t>(group_count(x_, group)), channels = static_cast<size_t>(x_.channels());
        for (std::vector<double> *list : {&mean, &variance, &count, &sums, &more_sums}) list->assign(groups, 1.5);
        for (std::vector<float> *list : {&gamma, &beta, &dgamma, &dbeta}) list->assign(channels, 0.5f);
        affine = hnorm_affine_of(gamma.data(), beta.data());
        to_mean = mean.data(), to_variance = variance.data();
        to_dgamma = dgamma.data(), to_dbeta = dbeta.data();
    }
    Calls(const Calls &) = delete;
    Calls &operator=(const Calls &) = delete;

    static constexpr int kFunctions = 7;
    static const char *name(int function) {
        constexpr const char *kNames[kFunctions] = {
            "moments", "normalize", "forward", "backward_reduce", "backward_apply", "backward", "normalize_backward"};
        return kNames[function];
    }
    hnorm_status call(int function) {
        switch (function) {
        case 0: return hnorm_moments(&x, group, count.data(), to_mean, to_variance);
        case 1: return hnorm_normalize(&x, group, mean.data(), variance.data(), &affine, eps, &post, &y);
        case 2: return hnorm_forward(&x, group, &affine, eps, &post, &y, to_mean, to_variance);
        case 3: return hnorm_backward_reduce(&x, &dy, group, mean.data(), sums.data(), more_sums.data());
        case 4:
            return hnorm_backward_apply(&x, &dy, group, count.data(), mean.data(), variance.data(), sums.data(),
                                        more_sums.data(), &affine, eps, &y);
        case 5:
            return hnorm_backward(&x, &dy, group, mean.data(), variance.data(), &affine, eps, &post_gradient, &y,
                                  to_dgamma, to_dbeta);
        default:
            return hnorm_normalize_backward(&x, &dy, group, mean.data(), variance.data(), &affine, eps, &post_gradient,
                                            &y, to_dgamma, to_dbeta);
        }
    }
    // Of sums over groups, which there are none of for groups of channels.
    static bool is_of_sums(int function) { return function == 3 || function == 4; }
    bool takes_y(int function) const { return function != 0 && function != 3; }
    bool takes_dy(int function) const { return function >= 3; }
    bool takes_affine(int function) const { return takes_y(function); }
    bool takes_post(int function) const { return function == 1 || function == 2 || function >= 5; }
    bool writes_mean(int function) const { return function == 0 || function == 2; }
    bool writes_dgamma(int function) const { return function >= 5; }

    // All that a call could write.
    std::vector<char> written() const {
        std::vector<char> bytes;
        const auto add = [&](const void *data, size_t size) {
            const char *const begin = static_cast<const char *>(data);
            bytes.insert(bytes.end(), begin, begin + size);
        };
        for (const Tensor *tensor : {&x_, &y_, &dy_}) {
            tensor->load();
            add(tensor->values().data(), tensor->values().size() * sizeof(float));
        }
        for (const std::vector<double> *list : {&mean, &variance, &count, &sums, &more_sums})
            add(list->data(), list->size() * sizeof(double));
        for (const std::vector<float> *list : {&gamma, &beta, &dgamma, &dbeta})
            add(list->data(), list->size() * sizeof(float));
        return bytes;
    }
    std::string damage() const { return x_.damage() + y_.damage() + dy_.damage(); }

private:
    Tensor x_, y_, dy_;

public:
    hnorm_group group;
    hnorm_tensor x, y, dy;
    std::vector<double> mean, variance, count, sums, more_sums;
    std::vector<float> gamma, beta, dgamma, dbeta;
    double *to_mean, *to_variance;  // where a call writes
    float *to_dgamma, *to_dbeta;
    hnorm_affine affine;
    double eps = 1e-5;
    hnorm_post_ops post = {sizeof(hnorm_post_ops), HNORM_RELU, 0, nullptr};
    hnorm_post_ops_gradient post_gradient = {sizeof(hnorm_post_ops_gradient), HNORM_RELU, 0, nullptr, nullptr};
};

}  // namespace test
