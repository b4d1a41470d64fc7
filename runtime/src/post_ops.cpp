#include "post_ops.h"

#include "error.h"
#include "given.h"
#include "overlap.h"
#include "validate.h"

namespace hnorm::detail {

hnorm_status read_residual(const char *function, const ResidualArgument &argument, const NamedTensor &x,
                           const NamedTensor &y, CheckedTensor *planes, PostOps *post) {
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

hnorm_status read_post_ops(const char *function, const hnorm_post_ops *given, const NamedTensor &x,
                           const NamedTensor &y, CheckedTensor *planes, PostOps *post) {
    if (given == nullptr) {
        return HNORM_OK;
    }
    hnorm_post_ops ops;
    HNORM_TRY(read_given(function, "post", *given, &ops));
    HNORM_TRY(read_activation(function, "post.", ops.activation, ops.negative_slope, &post->slope));
    return read_residual(function, {ops.residual, "post.residual"}, x, y, planes, post);
}

}  // namespace hnorm::detail
