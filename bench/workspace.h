// The buffers that all measurements share, and the kernels and copies over them as pieces of work.
#pragma once

#include "copies.h"
#include "measure.h"
#include "shapes.h"

#include <hnorm/hnorm.h>

#include <memory>
#include <vector>

namespace hnorm::bench {

// Relu: followed by a ReLU; Add: by the addition of a residual before it, in training's form, with the residual's gradient.
enum class Op {
    kForward,
    kMoments,
    kNormalize,
    kBackward,
    kForwardRelu,
    kForwardAddRelu,
    kBackwardRelu,
    kBackwardAddRelu
};
inline constexpr Op kPlainOps[] = {Op::kForward, Op::kMoments, Op::kNormalize, Op::kBackward};
inline constexpr Op kPostOps[] = {Op::kForwardRelu, Op::kForwardAddRelu, Op::kBackwardRelu, Op::kBackwardAddRelu};

const char *op_name(Op op);                 // "forward"
const char *group_name(hnorm_group group);  // "batch"
// The least that must move, one float each: x read and, but for moments, y written; backward reads dy too; a residual is read,
// and its gradient needs y and is written.
int64_t bytes_moved(Op op, const Shape &shape);

struct CopySpeeds {
    Comparison memcpy_, streaming;  // against the floor
    double floor_seconds;
    Copy fastest;
    double fastest_ratio;  // the floor's time over the fastest copy's: 1 where the floor is the fastest
};

// Throws std::bad_alloc. A Work must not outlive its Workspace, and only one may run at a time.
class Workspace {
public:
    // Holds tensors of any of kTableShapes and kFurtherShapes. x has random values, every page of x and y has been
    // touched, and the library's thread pool is up.
    Workspace();

    // The kernel, in training's usual form: gamma and beta per channel, statistics returned. It throws
    // std::runtime_error with hnorm's reason if a call fails.
    Work kernel(Op op, hnorm_group group, const Shape &shape);
    // The copy floor or another copy, over the same buffers.
    Work copy(Copy kind, const Shape &shape);
    // The kernel's floor: the copy floor; for backward, or with a residual, the sum of two tensors into a third; for backward
    // with a residual that and a copy.
    Work floor(Op op, const Shape &shape);
    // The kernel against its floor.
    Comparison compare_with_floor(Op op, hnorm_group group, const Shape &shape, const Effort &effort);
    // Apart from the kernels, and each copy with the caches as it leaves them itself: a streaming copy evicts what the
    // next would have found there.
    CopySpeeds compare_copies(const Shape &shape, const Effort &effort);

private:
    struct Free {
        void operator()(float *p) const;
    };
    using Floats = std::unique_ptr<float[], Free>;
    static Floats allocate(int64_t count);
    static hnorm_tensor view(const Floats &floats, const Shape &shape);

    Work forward(Op op, hnorm_group group, const Shape &shape);
    Work backward(Op op, hnorm_group group, const Shape &shape);

    Floats x_, y_, dy_, residual_, dresidual_;
    std::vector<float> gamma_, beta_;
    std::vector<float> dgamma_, dbeta_;
    std::vector<double> count_, mean_, variance_;
};

}  // namespace hnorm::bench
