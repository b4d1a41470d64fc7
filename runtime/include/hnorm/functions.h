/**
 * @file
 * Moments, forward and backward. hnorm.h includes this header.
 */
#ifndef HNORM_FUNCTIONS_H
#define HNORM_FUNCTIONS_H

#include <hnorm/status.h>
#include <hnorm/tensor.h>

#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif
#ifdef __cplusplus
extern "C" {
#endif

/**
 * Computes the number of elements, the mean and M2 of each group.
 *
 *     mean = sum(x) / count
 *     m2   = sum((x - mean)^2)        so m2 / count is the biased variance
 *
 * For an empty group all three are 0.
 *
 * @param x      The input.
 * @param group  The kind of groups.
 * @param count  Receives one value a group.
 * @param mean   Receives one value a group.
 * @param m2     Receives one value a group.
 */
hnorm_status hnorm_moments(const hnorm_tensor *x, hnorm_group group, double *count, double *mean, double *m2);

/**
 * Merges the moments of other samples into count, mean and m2, group by group.
 *
 *     delta = other_mean - mean,  total = count + other_count
 *     mean += delta * other_count / total
 *     m2   += other_m2 + delta^2 * count * other_count / total
 *     count = total
 *
 * So statistics merge across batches and machines (Chan, Golub, LeVeque 1983). The samples must be
 * disjoint. All arrays lie on the CPU.
 *
 * @param groups       The length of all arrays, 0 or more.
 * @param count        Counts, finite and 0 or more. Receives the sum.
 * @param mean         Receives the merged mean.
 * @param m2           Receives the merged M2.
 * @param other_count  Counts of the other samples, finite and 0 or more. If a count is 0, the
 *                     group stays as it was.
 * @param other_mean   Means of the other samples.
 * @param other_m2     M2 of the other samples.
 */
hnorm_status hnorm_merge_moments(int64_t groups, double *count, double *mean, double *m2, const double *other_count,
                                 const double *other_mean, const double *other_m2);

/**
 * Normalizes with given statistics.
 *
 *     y = (x - mean) / sqrt(variance + eps) * gamma + beta
 *
 * If variance + eps is 0, the factor of x - mean is 0, so y is beta.
 *
 * @param x         The input.
 * @param group     The kind of groups.
 * @param mean      One value a group.
 * @param variance  One value a group.
 * @param affine    gamma and beta, or null for 1 and 0.
 * @param eps       Finite and 0 or more.
 * @param post      A residual and an activation that follow, or null for none.
 * @param y         Receives the result. It has the shape of x, and may be x or the residual.
 */
hnorm_status hnorm_normalize(const hnorm_tensor *x, hnorm_group group, const double *mean, const double *variance,
                             const hnorm_affine *affine, double eps, const hnorm_post_ops *post, const hnorm_tensor *y);

/**
 * Normalizes with the statistics of x itself, as a layer does in training.
 *
 *     y = (x - mean(x)) / sqrt(variance(x) + eps) * gamma + beta
 *
 * A group whose elements are all equal gives beta, also with an eps of 0. A tensor whose groups
 * have one element is refused (HNORM_INVALID_ARGUMENT): y would be beta for every x.
 *
 * @code{.c}
 * const int64_t shape[4] = {32, 64, 56, 56};
 * const hnorm_tensor x = hnorm_channels_first(input, 4, shape);
 * const hnorm_tensor y = hnorm_channels_first(output, 4, shape);
 * const hnorm_affine affine = hnorm_affine_of(gamma, beta);  // 64 floats each
 * double mean[64], variance[64];
 * if (hnorm_forward(&x, HNORM_BATCH, &affine, 1e-5, NULL, &y, mean, variance) != HNORM_OK) {
 *     fprintf(stderr, "%s\n", hnorm_last_error());
 * }
 * @endcode
 *
 * @param x         The input.
 * @param group     The kind of groups.
 * @param affine    gamma and beta, or null for 1 and 0.
 * @param eps       Finite and 0 or more.
 * @param post      A residual and an activation that follow, or null for none.
 * @param y         Receives the result. It has the shape of x, and may be x or the residual.
 * @param mean      Receives one value a group. May be null.
 * @param variance  Receives the biased variance, one value a group. May be null.
 */
hnorm_status hnorm_forward(const hnorm_tensor *x, hnorm_group group, const hnorm_affine *affine, double eps,
                           const hnorm_post_ops *post, const hnorm_tensor *y, double *mean, double *variance);

/**
 * Computes tf.nn.batch_normalization of TensorFlow.
 *
 *     y = (x - mean) / sqrt(variance + variance_epsilon) * scale + offset
 *
 * @param x                 The input.
 * @param length            The length of the four arrays: C for one value a channel (index c), or
 *                          N*C for one value a sample and channel (index n*C + c).
 * @param mean              `length` values.
 * @param variance          `length` values.
 * @param offset            `length` values, or null for 0.
 * @param scale             `length` values, or null for 1.
 * @param variance_epsilon  Finite and 0 or more.
 * @param y                 Receives the result. It has the shape of x, and may be x.
 */
hnorm_status hnorm_batch_normalization(const hnorm_tensor *x, int64_t length, const float *mean, const float *variance,
                                       const float *offset, const float *scale, double variance_epsilon,
                                       const hnorm_tensor *y);

/* ---- backward -------------------------------------------------------------------------------- */

/* In all functions of this part dy is the gradient of the loss at y. x, dy and dx have the same
 * shape. */

/**
 * Computes the gradient before an activation from the gradient after it.
 *
 *     dz = dy if y > 0, else slope * dy        slope: 0 for ReLU, 1 for no activation
 *
 * Distributed batch norm with an activation uses this function. dz is the gradient of the
 * residual, and takes the place of dy in hnorm_backward_reduce and hnorm_backward_apply.
 *
 * @param y               The output of the activation.
 * @param dy              The gradient of the loss at y.
 * @param activation      The activation.
 * @param negative_slope  The slope of HNORM_LEAKY_RELU, finite and 0 or more.
 * @param dz              Receives the result. It may be dy or y.
 */
hnorm_status hnorm_activation_backward(const hnorm_tensor *y, const hnorm_tensor *dy, hnorm_activation activation,
                                       float negative_slope, const hnorm_tensor *dz);

/**
 * Computes the two sums over each group that backward needs.
 *
 *     sum_dy     = sum(dy)
 *     sum_dy_xmu = sum(dy * (x - mean))
 *
 * For distributed batch norm, add the sums of all machines and give them to hnorm_backward_apply.
 * The gradients of gamma and beta follow from the sums too: dbeta = sum_dy, and
 * dgamma = sum_dy_xmu / sqrt(variance + eps). For instance norm, add these over the samples.
 *
 * @param x           The input of forward.
 * @param dy          The gradient of the loss at the output.
 * @param group       HNORM_BATCH or HNORM_INSTANCE. hnorm_groups(G), G < C, is HNORM_UNSUPPORTED, because
 *                    the channels of its groups have different gammas.
 * @param mean        One value a group.
 * @param sum_dy      Receives one value a group.
 * @param sum_dy_xmu  Receives one value a group.
 */
hnorm_status hnorm_backward_reduce(const hnorm_tensor *x, const hnorm_tensor *dy, hnorm_group group, const double *mean,
                                   double *sum_dy, double *sum_dy_xmu);

/**
 * Computes the gradient with respect to x from given sums.
 *
 *     invstd = 1 / sqrt(variance + eps)
 *     dx = gamma * invstd * (dy - sum_dy / count - (x - mean) * invstd^2 * sum_dy_xmu / count)
 *
 * @param x           The input of forward.
 * @param dy          The gradient of the loss at the output.
 * @param group       HNORM_BATCH or HNORM_INSTANCE. hnorm_groups(G), G < C, is HNORM_UNSUPPORTED.
 * @param count       The number of elements of each whole group, on all machines. Each is finite
 *                    and 1 or more. On devices the values are not checked.
 * @param mean        One value a group.
 * @param variance    One value a group, biased.
 * @param sum_dy      One value a group, from hnorm_backward_reduce.
 * @param sum_dy_xmu  One value a group, from hnorm_backward_reduce.
 * @param affine      gamma, or null for 1. beta has no effect. With HNORM_BATCH gamma must have
 *                    one value a channel, because the sums do not tell samples apart.
 * @param eps         Finite and 0 or more.
 * @param dx          Receives the result. It may be dy or x.
 */
hnorm_status hnorm_backward_apply(const hnorm_tensor *x, const hnorm_tensor *dy, hnorm_group group, const double *count,
                                  const double *mean, const double *variance, const double *sum_dy,
                                  const double *sum_dy_xmu, const hnorm_affine *affine, double eps,
                                  const hnorm_tensor *dx);

/**
 * Computes the gradients of hnorm_forward.
 *
 *     invstd = 1 / sqrt(variance + eps)        or 0 if variance + eps is 0
 *     xhat   = (x - mean) * invstd
 *     dz     = dy times the slope of the activation
 *     g      = gamma * dz
 *     dx     = invstd * (g - average(g) - xhat * average(g * xhat))
 *     dgamma = sum(dz * xhat)
 *     dbeta  = sum(dz)
 *
 * The averages are over a group. The sums are over all elements that share the parameter. They
 * replace the contents of dgamma and dbeta. Any of dx, dgamma and dbeta may be null. The bits of a
 * result do not depend on which of these are wanted. (With 16-bit elements, a residual and a leaky
 * slope they depend on whether post->dresidual is given: docs/order.md, "Post-ops".) A tensor whose
 * groups have one element is refused (HNORM_INVALID_ARGUMENT).
 *
 * @code{.c}
 * // After the example of hnorm_forward. dy and dx are tensors of the shape of x.
 * float dgamma[64], dbeta[64];
 * hnorm_status status = hnorm_backward(&x, &dy, HNORM_BATCH, mean, variance, &affine, 1e-5, NULL,
 *                                      &dx, dgamma, dbeta);
 * @endcode
 *
 * @param x         The input of forward. Forward must not have overwritten it in place.
 * @param dy        The gradient of the loss at the output.
 * @param group     The kind of groups, as in forward.
 * @param mean      One value a group, from forward.
 * @param variance  One value a group, from forward.
 * @param affine    gamma and beta of forward, or null.
 * @param eps       The eps of forward.
 * @param post      The gradient of the residual and the activation of forward, or null for none.
 * @param dx        Receives the gradient of x. It may be dy or x. May be null.
 * @param dgamma    Receives the gradient of gamma: C values, or N*C values (index n*C + c) if
 *                  affine has a stride_n other than 0. May be null.
 * @param dbeta     Receives the gradient of beta, as long as dgamma. May be null.
 */
hnorm_status hnorm_backward(const hnorm_tensor *x, const hnorm_tensor *dy, hnorm_group group, const double *mean,
                            const double *variance, const hnorm_affine *affine, double eps,
                            const hnorm_post_ops_gradient *post, const hnorm_tensor *dx, float *dgamma, float *dbeta);

/**
 * Computes the gradients of hnorm_normalize: mean and variance are constants.
 *
 *     dx = gamma * invstd * dz
 *
 * dgamma and dbeta are those of hnorm_backward. Frozen statistics and evaluation need this
 * function. Groups may have one element.
 *
 * @param x         The input of hnorm_normalize. It may be null if dgamma is null and the sign of
 *                  the activation does not depend on x: there is no activation, or post->y is
 *                  given. The last bits of dbeta may be different without x.
 * @param dy        The gradient of the loss at the output.
 * @param group     The kind of groups.
 * @param mean      One value a group.
 * @param variance  One value a group.
 * @param affine    gamma and beta, or null.
 * @param eps       Finite and 0 or more.
 * @param post      As in hnorm_backward.
 * @param dx        As in hnorm_backward.
 * @param dgamma    As in hnorm_backward.
 * @param dbeta     As in hnorm_backward.
 */
hnorm_status hnorm_normalize_backward(const hnorm_tensor *x, const hnorm_tensor *dy, hnorm_group group,
                                      const double *mean, const double *variance, const hnorm_affine *affine,
                                      double eps, const hnorm_post_ops_gradient *post, const hnorm_tensor *dx,
                                      float *dgamma, float *dbeta);

#ifdef __cplusplus
}
#endif
#if defined(__GNUC__)
#pragma GCC visibility pop
#endif
#endif
