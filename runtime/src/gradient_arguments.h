// The checks of arguments that the C functions of gradients share.
#pragma once

#include <initializer_list>

#include "backward_arguments.h"
#include "gradient_tensors.h"
#include "validate.h"

namespace hnorm::detail {

// An array that is read: apart from what is written.
hnorm_status check_read(const char *function, const Array &array, const GradientTensors &tensors);

// An array that is written: apart from all tensors and from the other arrays.
hnorm_status check_written(const char *function, const Array &array, const GradientTensors &tensors,
                           std::initializer_list<Array> others);

// gamma's and beta's view.
hnorm_status read_parameters(const char *function, const hnorm_affine *affine, const GradientTensors &tensors,
                             AffineView *view);

// Reads and checks the arguments of hnorm_backward and hnorm_normalize_backward, except two that
// each function checks itself: the size of a group, and the presence of x. `tensors` is made from
// x, dy and dx of the call. *b refers to it.
hnorm_status read_backward(const char *function, bool needs_x, hnorm_group group, const double *mean,
                           const double *variance, const hnorm_affine *affine, double eps,
                           const hnorm_post_ops_gradient *post, float *dgamma, float *dbeta, GradientTensors *tensors,
                           Backward *b);

}  // namespace hnorm::detail
