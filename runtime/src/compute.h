// The computations, on validated arguments and tensors that are not empty.
#pragma once

#include <initializer_list>

#include "device.h"
#include "float_environment.h"
#include "kernels.h"
#include "validate.h"
#include "view.h"

namespace hnorm::detail {

// What a call runs on: a device, or the CPU's target and threads; in the default floating-point environment while it lives.
struct Machine {
    const Device *device = nullptr;  // null: the CPU
    const Target *target = nullptr;
    int threads = 0;
    FloatEnvironment floats = {};
};

// For tensors of a device. On the CPU it fails where the environment names a target or a number of threads that cannot be.
hnorm_status find_machine(const char *function, hnorm_device device, Machine *machine);

// A row's kernels for the tensor's elements, by class.
template <typename Kernel>
const Kernel *kernels_of(const Kernel (*row)[kElementTypes][kPlaneClasses], const Machine &machine, const Planes &x) {
    return row[machine.target->index][x.type];
}
// The class of the tensor's planes for reductions.
inline PlaneClass reduction_class(const Planes &x) {
    return x.layout == Layout::kChannelsLast ? kLast : plane_class(x.s);
}
// Whether work on all of the tensors (null: absent) sees them as channels-last, and its class. Their layouts may differ where
// planes have one position (then channels-first kernels, which do not mind how far apart channels are, take them all) and
// where there is one channel (then channels-last ones, which do not mind how far apart positions are).
bool channels_last(std::initializer_list<const Planes *> tensors);
PlaneClass pointwise_class(std::initializer_list<const Planes *> tensors);

// Planes of one position as one plane: its positions are the samples. That is how batch norm sums them (docs/order.md).
bool is_one_plane(const Planes &x, hnorm_group group);
Planes one_plane(const Planes &x);

// Some of a tensor's planes, both ranges half open.
struct Range {
    int64_t n_begin, n_end, c_begin, c_end;

    // Where its first plane's value lies in an array of one for each channel, of samples stride_n apart: 0 where all share them.
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
// Between the values of one sample's groups and the next's, of one a group.
inline int64_t groups_stride(const Planes &x, hnorm_group group) { return group == HNORM_BATCH ? 0 : x.c; }
// One value a group, as the C functions hold them.
inline GroupValues group_values(const double *data, const Planes &x, hnorm_group group) {
    return {data, groups_stride(x, group), 1};
}

// hnorm_post_ops, validated.
struct PostOps {
    float slope = 1;                   // of the activation
    const Planes *residual = nullptr;  // null: none

    // With what `view` makes of the residual, kept in *memory.
    template <typename View>
    PostOps seen(const View &view, Planes *memory) const {
        if (residual == nullptr) {
            return *this;
        }
        *memory = view(*residual);
        return {slope, memory};
    }
};

// mean, m2: one double a group; m2 as divided by `divisor`: by 1, or for the variance by the group's size.
hnorm_status compute_moments(const char *function, const Machine &machine, const Planes &x, hnorm_group group,
                             double divisor, double *mean, double *m2);

// The same of any groups: where channels are together, each has its group's (channel_groups.h).
hnorm_status compute_statistics(const char *function, const Machine &machine, const Planes &x, const Grouping &group,
                                double divisor, double *mean, double *m2);

hnorm_status compute_normalize(const char *function, const Machine &machine, const Planes &x, const GroupValues &mean,
                               const GroupValues &variance, const AffineView &affine, double eps, const PostOps &post,
                               const Planes &y);
// The same of the planes in the range. past_cache: goes_past_cache() of all of y (past_cache.h).
hnorm_status normalize_range(const char *function, const Machine &machine, const Range &range, const Planes &x,
                             const GroupValues &mean, const GroupValues &variance, const AffineView &affine, double eps,
                             const PostOps &post, const Planes &y, bool past_cache);

// mean, variance: one double a group, written; where channels are together one a channel of each sample, its group's.
hnorm_status compute_forward(const char *function, const Machine &machine, const Planes &x, const Grouping &group,
                             const AffineView &affine, double eps, const PostOps &post, const Planes &y, double *mean,
                             double *variance);

// Memory for statistics: on the stack where they are few, so that small calls do not allocate.
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
