// A call's arguments, which lie on the CPU, on the device. Those that a function must refuse stay
// as they are, but for their pointers.
#pragma once

#include "memory.h"

#include <hnorm/hnorm.h>

#include <cstdint>
#include <list>
#include <mutex>

namespace on_device {

// Of a valid tensor: how many values some argument has. Else -1.
constexpr int64_t kUnknown = -1, kMost = int64_t(1) << 28;

inline int64_t span_bytes(const hnorm_tensor &t) {
    const int type = static_cast<int>(t.type);
    if (t.rank < 2 || t.rank > HNORM_MAX_RANK || type < 0 || type > 2 || t.device != HNORM_CPU) return kUnknown;
    int64_t span = 1;
    for (int axis = 0; axis < t.rank; axis++) {
        if (t.shape[axis] < 0) return kUnknown;
        if (t.shape[axis] == 0) return 0;
        const int64_t stride = t.shape[axis] == 1 ? 0 : t.strides[axis];
        if (stride < 0 || t.shape[axis] > kMost || stride > kMost) return kUnknown;
        span += (t.shape[axis] - 1) * stride;
        if (span > kMost) return kUnknown;
    }
    return span * (t.type == HNORM_F32 ? 4 : 2);
}

// A call's arguments on the device.
class Arguments {
public:
    explicit Arguments(const hnorm_tensor *like) : lock_(mutex()) {
        use();
        if (like && span_bytes(*like) != kUnknown) {
            n_ = like->shape[0];
            c_ = like->shape[1];
        }
    }

    const hnorm_tensor *tensor(const hnorm_tensor *t) {
        if (t == nullptr) return nullptr;
        tensors_.push_back(*t);
        hnorm_tensor &placed = tensors_.back();
        if (t->device != HNORM_CPU) return &placed;
        const int64_t bytes = span_bytes(*t);
        placed.device = device();
        placed.data = t->data == nullptr  ? nullptr
                      : bytes == kUnknown ? arrays_.nowhere()
                                          : arrays_.place(t->data, static_cast<size_t>(bytes));
        return &placed;
    }
    template <typename T>
    T *array(T *values, int64_t count) {
        return values == nullptr ? nullptr
               : count < 0 || count > kMost
                   ? static_cast<T *>(arrays_.nowhere())
                   : static_cast<T *>(arrays_.place(values, static_cast<size_t>(count) * sizeof(T)));
    }
    int64_t channels() const { return c_; }
    int64_t all() const { return c_ < 0 ? kUnknown : n_ * c_; }
    int64_t groups(hnorm_group group) const {
        const int64_t of_sample = int64_t(group) - HNORM_GROUPS;
        if (of_sample >= 1) return c_ == 0 ? 0 : all() / c_ * of_sample;
        return group == HNORM_BATCH ? c_ : group == HNORM_INSTANCE ? all() : kUnknown;
    }

    const hnorm_affine *affine(const hnorm_affine *a) {
        if (a == nullptr) return nullptr;
        const auto offset = [](int64_t extent, int64_t stride) { return extent > 1 ? (extent - 1) * stride : 0; };
        const bool known =
            c_ >= 0 && a->stride_n >= 0 && a->stride_c >= 0 && a->stride_n < kMost && a->stride_c < kMost;
        const int64_t count = !known       ? kUnknown
                              : all() == 0 ? 0
                                           : offset(n_, a->stride_n) + offset(c_, a->stride_c) + 1;
        affine_ = *a;
        affine_.gamma = array(a->gamma, count);
        affine_.beta = array(a->beta, count);
        return &affine_;
    }
    // Of dgamma and dbeta.
    int64_t parameters(const hnorm_affine *a) const { return a && a->stride_n != 0 && n_ != 1 ? all() : c_; }
    const hnorm_post_ops *post(const hnorm_post_ops *p) {
        if (p == nullptr) return nullptr;
        post_ = *p;
        post_.residual = tensor(p->residual);
        return &post_;
    }
    const hnorm_post_ops_gradient *post(const hnorm_post_ops_gradient *p) {
        if (p == nullptr) return nullptr;
        post_gradient_ = *p;
        post_gradient_.y = tensor(p->y);
        post_gradient_.dresidual = tensor(p->dresidual);
        return &post_gradient_;
    }

    hnorm_status done(hnorm_status status) {
        arrays_.copy_back();
        return status;
    }

private:
    static std::mutex &mutex() {
        static std::mutex mutex;
        return mutex;
    }

    const std::lock_guard<std::mutex> lock_;
    Arrays arrays_;
    int64_t n_ = kUnknown, c_ = kUnknown;
    std::list<hnorm_tensor> tensors_;
    hnorm_affine affine_ = hnorm_affine_of(nullptr, nullptr);
    hnorm_post_ops post_ = hnorm_post_ops_defaults();
    hnorm_post_ops_gradient post_gradient_ = hnorm_post_ops_gradient_defaults();
};

}  // namespace on_device
