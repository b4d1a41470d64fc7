#include "post_ops.h"

#include "error.h"
#include "validate.h"

namespace hnorm::detail {

hnorm_status read_residual(const char *function, const ResidualArgument &argument, const NamedTensor &x,
                           const NamedTensor &y, Planes *planes, PostOps *post) {
    if (argument.tensor == nullptr) {
        return HNORM_OK;
    }
    NamedTensor residual{argument.name, argument.tensor, {}};
    HNORM_TRY(read_tensor(function, residual.name, residual.tensor, &residual.planes));
    HNORM_TRY(check_same_shape(function, x, residual));
    HNORM_TRY(check_places(function, residual, y));
    *planes = residual.planes;
    post->residual = planes;
    return HNORM_OK;
}

hnorm_status read_post_ops(const char *function, const hnorm_post_ops *post_ops, const NamedTensor &x,
                           const NamedTensor &y, Planes *planes, PostOps *post) {
    if (post_ops == nullptr) {
        return HNORM_OK;
    }
    HNORM_TRY(read_activation(function, "post.", post_ops->activation, post_ops->negative_slope, &post->slope));
    return read_residual(function, {post_ops->residual, "post.residual"}, x, y, planes, post);
}

}  // namespace hnorm::detail
