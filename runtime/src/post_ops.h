// What follows a normalization: hnorm_post_ops, read and validated.
#pragma once

#include "values.h"

namespace hnorm::detail {

// A residual as an argument: its tensor (null: none) and the name that messages give it.
struct ResidualArgument {
    const hnorm_tensor *tensor;
    const char *name;
};

// The residual of a call that writes y from x. `planes` receives it and must live as long as
// `post`.
hnorm_status read_residual(const char *function, const ResidualArgument &argument, const NamedTensor &x,
                           const NamedTensor &y, CheckedTensor *planes, PostOps *post);

// All of post, which may be null.
hnorm_status read_post_ops(const char *function, const hnorm_post_ops *post_ops, const NamedTensor &x,
                           const NamedTensor &y, CheckedTensor *planes, PostOps *post);

}  // namespace hnorm::detail
