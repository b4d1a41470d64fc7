// The computations, on validated arguments and tensors that are not empty.
#pragma once

#include <initializer_list>

#include "device.h"
#include "float_environment.h"
#include "kernels.h"
#include "validate.h"
#include "view.h"

namespace hnorm::detail {

// The machine that a call runs on: a device, or a target and a number of threads of the CPU. While
// it lives, its thread has the default floating-point environment.
struct Machine {
    const Device *device = nullptr;  // null: the CPU
    const Target *target = nullptr;
    int threads = 0;
    Operation operation = kForward;
    FloatEnvironment floats = {};

    const Dispatch &dispatch(const Planes &x) const { return target->dispatch[operation][x.type]; }
};

// Finds the machine for an operation on tensors of a device. On the CPU it fails if the environment
// variables name a target that cannot run, or a number of threads that is not valid.
hnorm_status find_machine(const char *function, hnorm_device device, Machine *machine, Operation operation = kForward);

// A row's kernels for the tensor's elements, by class.
template <typename Kernel>
const Kernel *kernels_of(const Kernel (*row)[kElementTypes][kPlaneClasses], const Machine &machine, const Planes &x) {
    return row[machine.target->index][x.type];
}
// The class of the tensor's planes for reductions.
inline PlaneClass reduction_class(const Planes &x) {
    return x.layout == Layout::kChannelsLast ? kLast : plane_class(x.s);
}
// channels_last: whether work on all of the tensors together sees them as channels-last. A null
// tensor is absent. pointwise_class: the class of that work. The layouts of the tensors can differ
// in two cases. If planes have one position, channels-first kernels take all tensors: they allow
// any distance between channels. If there is one channel, channels-last kernels do: they allow any
// distance between positions.
bool channels_last(std::initializer_list<const Planes *> tensors);
PlaneClass pointwise_class(std::initializer_list<const Planes *> tensors);

// Batch norm sums planes of one position as one plane, whose positions are the samples
// (docs/order.md). is_one_plane: whether this is such a case. one_plane: the tensor seen so.
bool is_one_plane(const Planes &x, hnorm_group group);
Planes one_plane(const Planes &x);

// Some of a tensor's planes, both ranges half open.
struct Range {
    int64_t n_begin, n_end, c_begin, c_end;

    // The index of its first plane in an array with one value for each channel. The values of
    // samples lie stride_n apart; 0 means that all samples share them.
    int64_t first(int64_t stride_n) const { return n_begin * stride_n + c_begin; }
};
inline Planes cropped(Planes p, const Range &range) {
    p.data = p.at(range.n_begin, range.c_begin);
    p.n = range.n_end - range.n_begin;
    p.c = range.c_end - range.c_begin;
    return p;
}

// Whether work on the tensor stays on the calling thread.
bool runs_serially(const Machine &machine, const Planes &x);

// One value for each sample and channel, or shared where a stride is 0: data[n*stride_n + c*stride_c].
struct GroupValues {
    const double *data;
    int64_t stride_n, stride_c;

    GroupValues from(const Range &range) const {
        return {data + range.n_begin * stride_n + range.c_begin * stride_c, stride_n, stride_c};
    }
};
// The distance from the values of one sample to those of the next, in an array with one value a
// group.
inline int64_t groups_stride(const Planes &x, hnorm_group group) { return group == HNORM_BATCH ? 0 : x.c; }
// One value a group, as the C functions hold them.
inline GroupValues group_values(const double *data, const Planes &x, hnorm_group group) {
    return {data, groups_stride(x, group), 1};
}

// hnorm_post_ops, validated.
struct PostOps {
    float slope = 1;                   // of the activation
    const Planes *residual = nullptr;  // null: none

    // The same with view(residual) for the residual. *memory keeps the new residual.
    template <typename View>
    PostOps seen(const View &view, Planes *memory) const {
        if (residual == nullptr) {
            return *this;
        }
        *memory = view(*residual);
        return {slope, memory};
    }
};

// Computes mean and m2, one double a group. m2 is divided by `divisor`: by 1, or by the size of a
// group to give the variance.
hnorm_status compute_moments(const char *function, const Machine &machine, const Planes &x, hnorm_group group,
                             double divisor, double *mean, double *m2);

// Does the same for every kind of groups. If channels are together, each channel receives the
// values of its group (channel_groups.h).
hnorm_status compute_statistics(const char *function, const Machine &machine, const Planes &x, const Grouping &group,
                                double divisor, double *mean, double *m2);

hnorm_status compute_normalize(const char *function, const Machine &machine, const Planes &x, const GroupValues &mean,
                               const GroupValues &variance, const AffineView &affine, double eps, const PostOps &post,
                               const Planes &y);
// Does the same for the planes in the range. past_cache: the result of goes_past_cache() for the
// whole of y (past_cache.h).
hnorm_status normalize_range(const char *function, const Machine &machine, const Range &range, const Planes &x,
                             const GroupValues &mean, const GroupValues &variance, const AffineView &affine, double eps,
                             const PostOps &post, const Planes &y, bool past_cache);

// Writes y, and one mean and variance a group. If channels are together, mean and variance have one
// value for each channel of each sample: the value of its group.
hnorm_status compute_forward(const char *function, const Machine &machine, const Planes &x, const Grouping &group,
                             const AffineView &affine, double eps, const PostOps &post, const Planes &y, double *mean,
                             double *variance);

// Memory for statistics. A few of them lie on the stack, so that small calls allocate nothing.
template <typename T>
class ScratchOf {
public:
    ScratchOf() = default;
    ~ScratchOf() { delete[] large_; }
    ScratchOf(const ScratchOf &) = delete;
    ScratchOf &operator=(const ScratchOf &) = delete;

    hnorm_status reserve(const char *function, int64_t count);
    T *data() { return large_ ? large_ : small_; }

private:
    static constexpr int64_t kSmall = 1024 / sizeof(T);  // several lie on a caller's stack
    T small_[kSmall];
    T *large_ = nullptr;
};
using Scratch = ScratchOf<double>;

}  // namespace hnorm::detail
