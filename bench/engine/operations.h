// The operations that are measured (operations.inc).
#pragma once

namespace hnorm::bench {

enum class Function {
    kForward,
    kNormalize,
    kBackward,
    kMoments,
    kBackwardReduce,
    kBackwardApply,
    kNormalizeBackward,
    kActivationBackward,
    kCopy
};
enum class PostOps { kNone, kRelu, kAdd, kAddRelu };

struct Operation {
    const char *name;
    Function function;
    PostOps post;
    int read, written;  // tensors, at least

    bool is_backward() const {
        return function == Function::kBackward || function == Function::kBackwardReduce ||
               function == Function::kBackwardApply || function == Function::kNormalizeBackward ||
               function == Function::kActivationBackward;
    }
};

inline constexpr Operation kOperations[] = {
#define OPERATION(name, function, post, read, written) {#name, Function::function, PostOps::post, read, written},
#include "operations.inc"
#undef OPERATION
};

}  // namespace hnorm::bench
