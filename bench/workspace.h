// The buffers that all measurements share, and the kernels and copies over them as pieces of work.
#pragma once

#include "copies.h"
#include "measure.h"
#include "shapes.h"

#include <hnorm/hnorm.h>

#include <map>
#include <memory>
#include <string>
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

// What tensors are made of.
struct Format {
    bool channels_last = false;
    hnorm_type type = HNORM_F32;

    std::string name() const;  // "channels_first/f32"
    int64_t element_size() const { return type == HNORM_F32 ? 4 : 2; }
};
inline constexpr Format kPlain{};
inline constexpr Format kFormats[] = {
    kPlain, {true, HNORM_F32}, {false, HNORM_F16}, {true, HNORM_F16}, {false, HNORM_BF16}, {true, HNORM_BF16}};

const char *op_name(Op op);                 // "forward"
const char *group_name(hnorm_group group);  // "batch"
// The least that must move, one element each: x read and, but for moments, y written; backward reads dy too; a residual is read,
// and its gradient needs y and is written.
int64_t bytes_moved(Op op, const Shape &shape, const Format &format = kPlain);

struct CopySpeeds {
    Comparison memcpy_, streaming;  // against the floor
    double floor_seconds;
    Copy fastest;
    double fastest_ratio;  // the floor's time over the fastest copy's: 1 where the floor is the fastest
};

// Throws std::bad_alloc. A Work must not outlive its Workspace, and only one may run at a time.
class Workspace {
public:
    // For tensors of any of kTableShapes and kFurtherShapes; the library's thread pool is up.
    Workspace();

    // The kernel, in training's usual form: gamma and beta per channel, statistics returned. It throws
    // std::runtime_error with hnorm's reason if a call fails.
    Work kernel(Op op, hnorm_group group, const Shape &shape, const Format &format = kPlain);
    // The copy floor or another copy, over the same buffers.
    Work copy(Copy kind, const Shape &shape, const Format &format = kPlain);
    // The kernel's floor: the copy floor; for backward, or with a residual, the sum of two tensors into a third; for backward
    // with a residual that and a copy.
    Work floor(Op op, const Shape &shape, const Format &format = kPlain);
    // The kernel against its floor.
    Comparison compare_with_floor(Op op, hnorm_group group, const Shape &shape, const Effort &effort,
                                  const Format &format = kPlain);
    // The kernel against itself with channels-first f32 tensors of the same shape.
    Comparison compare_with_plain(Op op, hnorm_group group, const Shape &shape, const Effort &effort,
                                  const Format &format);
    // Apart from the kernels, and each copy with the caches as it leaves them itself: a streaming copy evicts what the
    // next would have found there.
    CopySpeeds compare_copies(const Shape &shape, const Effort &effort);

private:
    struct Free {
        void operator()(char *p) const;
    };
    using Memory = std::unique_ptr<char[], Free>;
    // Every page has been touched; what is read has random values.
    struct Tensors {
        Memory x, y, dy, residual, dresidual;
    };
    static Memory allocate(int64_t bytes);
    // Of the type: made when first asked for.
    Tensors &tensors(hnorm_type type);
    static hnorm_tensor view(const Memory &memory, const Shape &shape, const Format &format);

    Work forward(Op op, hnorm_group group, const Shape &shape, const Format &format);
    Work backward(Op op, hnorm_group group, const Shape &shape, const Format &format);

    std::map<hnorm_type, Tensors> tensors_;
    std::vector<float> gamma_, beta_;
    std::vector<float> dgamma_, dbeta_;
    std::vector<double> count_, mean_, variance_;
};

}  // namespace hnorm::bench
