/**
 * @file
 * The C interface of hnorm: batch, instance and group normalization.
 *
 * @par Tensors and groups
 * A tensor has the shape (N, C, spatial...) and rank 2 to 5: N samples of C channels. S is the
 * number of positions, which is the product of the spatial extents, or 1 for rank 2.
 *
 * A group is a set of elements that are normalized together. Each group has its own mean and
 * variance. An argument of type hnorm_group chooses one of three kinds:
 *
 * | argument        | a group is                                | groups | elements | index   |
 * |-----------------|-------------------------------------------|--------|----------|---------|
 * | HNORM_BATCH     | one channel of all samples                | C      | N*S      | c       |
 * | HNORM_INSTANCE  | one channel of one sample                 | N*C    | S        | n*C + c |
 * | hnorm_groups(G) | C/G neighbouring channels of one sample   | N*G    | C/G * S  | n*G + g |
 *
 * "One value a group" means an array with one value for each group, in the order of the last
 * column.
 *
 * @par Errors
 * A function that can fail returns an hnorm_status. After a failure, hnorm_last_error() says in
 * a sentence which argument was wrong, which value it had, and which values are allowed.
 *
 * A function checks all arguments before it writes anything. If it refuses an argument
 * (HNORM_INVALID_ARGUMENT, HNORM_UNSUPPORTED), nothing has changed.
 *
 * The computation itself can fail too: memory runs out (HNORM_OUT_OF_MEMORY), a device fails
 * (HNORM_DEVICE_ERROR), or the parallel_for of the caller does not run its tasks
 * (HNORM_INVALID_ARGUMENT). Then the contents of the outputs of that call are unspecified. This
 * includes x if the call works in place. The running statistics of a layer stay as they were.
 *
 * @par Limits
 * - N*C, the number of positions, and each stride are at most 2,000,000,000.
 * - If channels are adjacent in memory, neighbouring positions (neighbouring samples, if there is
 *   one position) are at most 62,500,000 elements apart.
 * - A tensor spans at most 2^40 elements, padding included.
 *
 * A call that exceeds a limit returns HNORM_UNSUPPORTED.
 *
 * @par Empty tensors
 * A tensor with an extent of 0 is valid input to every function. Functions compute nothing then.
 * hnorm_moments, hnorm_backward_reduce and the functions that give dgamma and dbeta write zeros to
 * these arrays. Other outputs stay as they were.
 *
 * @par Pointers
 * - A pointer to an array must not be null unless its length is 0 or the function allows it. It
 *   must be aligned as its elements are.
 * - An array or tensor that a function writes must not overlap another argument, unless the
 *   function allows it. Arguments that are only read may overlap each other.
 * - "y may be x" means the same memory with the same strides. Two tensors may also be interleaved
 *   in one piece of memory, if they share no element and have the same strides.
 *
 * @par Structures
 * A structure that a program passes begins with its size. Functions of this header make structures
 * with their size and defaults: hnorm_dense, hnorm_affine_of, hnorm_post_ops_defaults,
 * hnorm_post_ops_gradient_defaults, hnorm_layer_defaults. Then change the fields that differ.
 *
 * The size lets later versions add fields. A program that was compiled with an older header runs
 * with a newer library, which takes the fields that it misses as 0. A newer program runs with an
 * older library, which returns HNORM_UNSUPPORTED if a field that it does not know is not 0. A size
 * that is too small returns HNORM_INVALID_ARGUMENT.
 *
 * @par Threads
 * Several threads may call all functions at the same time, with two exceptions. Two threads must
 * not train, change or give to backward the same layer at the same time. A setting (threads,
 * target, parallel_for) must not be changed while another thread computes with it. The settings of
 * this header hold for the whole process; context.h has settings for a thread or a layer. A child
 * of fork() may compute; it starts its own threads. A call needs 64 KiB of stack.
 */
#ifndef HNORM_H
#define HNORM_H

#include <stddef.h>
#include <stdint.h>

/* The shared library exports these names, also if everything else is compiled as hidden. */
#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif
/** @cond internals */
#ifdef __cplusplus
extern "C" {
/* Enumerations are int in C and in C++. So a program can pass a value without a name, and the
 * functions can refuse it. */
#define HNORM_AN_INT : int
#define HNORM_NULL nullptr
#else
#define HNORM_AN_INT
#define HNORM_NULL NULL
#endif
/** @endcond */

/** The major version of this header. hnorm_version() gives the version of the library. */
#define HNORM_VERSION_MAJOR 0
/** The minor version of this header. */
#define HNORM_VERSION_MINOR 2
/** The patch version of this header. */
#define HNORM_VERSION_PATCH 0
/** @cond internals */
/* The C++ interface lies in this inline namespace, so that two parts of a program that use different
 * versions of the headers do not share its code. */
#define HNORM_VERSION_NAMESPACE v0_2
/** @endcond */

/** The result of a function that can fail. */
typedef enum hnorm_status HNORM_AN_INT {
    /** The call has succeeded. */
    HNORM_OK = 0,
    /** A mistake of the caller: a null pointer, a shape, a stride, a range, an overlap. */
    HNORM_INVALID_ARGUMENT = 1,
    /** The call has a meaning, but this build or this machine cannot run it. */
    HNORM_UNSUPPORTED = 2,
    /** There is not enough memory, on the CPU or on the device. */
    HNORM_OUT_OF_MEMORY = 3,
    /** A defect of hnorm. */
    HNORM_INTERNAL = 4,
    /** A file cannot be read or written, or its contents are not valid (state.h). */
    HNORM_FILE_ERROR = 5,
    /** The driver of a device has failed. The error message quotes the driver (gpu.h). */
    HNORM_DEVICE_ERROR = 6,
    /** Another process has failed, or called something else, or the communication has failed
     * (comm.h). */
    HNORM_COMM_ERROR = 7
} hnorm_status;

/**
 * Returns the error message of the latest failed call of this thread.
 *
 * @return A sentence, or "" if no call has failed. It is never null. The text stays valid until
 *         the next failed call of this thread. A successful call does not change it.
 */
const char *hnorm_last_error(void);
/** Returns the name of a status: "HNORM_OK" and so on. It is never null. */
const char *hnorm_status_name(hnorm_status status);
/** Returns the version of the library: "major.minor.patch". */
const char *hnorm_version(void);

/* ---- tensors --------------------------------------------------------------------------------- */

/**
 * The type of the elements of a tensor.
 *
 * A 16-bit element is converted to float where it is read, and rounded to nearest even where it is
 * written. All values in between, parameters and statistics are float or double.
 */
typedef enum hnorm_type HNORM_AN_INT {
    HNORM_F32 = 0, /**< float */
    HNORM_F16 = 1, /**< IEEE half */
    HNORM_BF16 = 2 /**< bfloat16, the upper half of a float */
} hnorm_type;
/**
 * The place of a tensor. All other arrays of a call must lie in the same place.
 *
 * gpu.h says how a program uses CUDA and OpenCL.
 */
typedef enum hnorm_device HNORM_AN_INT {
    HNORM_CPU = 0,   /**< memory of the process */
    HNORM_CUDA = 1,  /**< memory of a CUDA device */
    HNORM_OPENCL = 2 /**< memory of an OpenCL device, a cl_mem */
} hnorm_device;

/** The greatest rank of a tensor: (N, C, D, H, W). */
#define HNORM_MAX_RANK 5

/**
 * A view of memory that the caller owns.
 *
 * The shape is (N, C, spatial...) in every layout. The strides tell the layouts apart, as in the
 * memory formats of PyTorch. They count elements.
 *
 * - Channels-first (NCHW): the spatial axes are dense, so each of their strides is the product of
 *   the extents after it. The strides of N and C may be larger than dense ones (padding).
 * - Channels-last (NHWC): the stride of C is 1. The innermost spatial stride is C, or more if the
 *   tensor is a view of some channels of a larger tensor. The other spatial strides are multiples
 *   of it, without gaps. The stride of N may be larger than a dense one.
 *
 * An axis of extent 1 may have any stride. Different elements must not share memory. All tensors
 * of a call must have the same type, layout and device.
 */
typedef struct hnorm_tensor {
    /** sizeof(hnorm_tensor). */
    size_t size;
    /** The first element. On the CPU and CUDA it is an address, on OpenCL a cl_mem. It may be null
     * only if the tensor is empty. */
    void *data;
    /** The type of the elements. */
    hnorm_type type;
    /** The place of the memory. */
    hnorm_device device;
    /** The number of axes, 2 to 5. */
    int rank;
    /** The extents. The first `rank` values count. */
    int64_t shape[HNORM_MAX_RANK];
    /** The distances between neighbours along each axis, in elements. */
    int64_t strides[HNORM_MAX_RANK];
} hnorm_tensor;

/**
 * Describes a dense tensor on the CPU, of any type and layout.
 *
 * The function does not check its arguments: the functions that take the tensor do. With a rank
 * outside 0 to 5, or with a null shape, it keeps the rank and leaves shape and strides at 0.
 *
 * @param data           The first element.
 * @param type           The type of the elements.
 * @param channels_last  Nonzero: channels-last. Zero: channels-first.
 * @param rank           The number of values in `shape`.
 * @param shape          (N, C, spatial...), also for channels-last.
 */
static inline hnorm_tensor hnorm_dense(void *data, hnorm_type type, int channels_last, int rank, const int64_t *shape) {
    hnorm_tensor tensor = {sizeof(hnorm_tensor), data, type, HNORM_CPU, rank, {0, 0, 0, 0, 0}, {0, 0, 0, 0, 0}};
    const int known = shape && rank >= 0 && rank <= HNORM_MAX_RANK;
    const int last = known && channels_last != 0 && rank >= 2;
    int64_t stride = 1;
    int i;
    for (i = 0; known && i < rank; i++) {
        /* Channels-first places the axes from the last to the first, channels-last axis 1 before. */
        const int axis = !last ? rank - 1 - i : i == 0 ? 1 : i == rank - 1 ? 0 : rank - i;
        tensor.shape[axis] = shape[axis];
        tensor.strides[axis] = stride;
        /* No overflow: where the tensor is used, absurd extents are refused. */
        if (shape[axis] > 0) {
            stride = stride > INT64_MAX / shape[axis] ? INT64_MAX : stride * shape[axis];
        }
    }
    return tensor;
}
/** Describes a dense channels-first tensor of floats on the CPU, as hnorm_dense does. */
static inline hnorm_tensor hnorm_channels_first(float *data, int rank, const int64_t *shape) {
    return hnorm_dense(data, HNORM_F32, 0, rank, shape);
}

/**
 * The elements that are normalized together: batch norm, instance norm, or group norm.
 *
 * For group norm, use hnorm_groups(G). In all three kinds gamma and beta have one value a channel.
 */
typedef enum hnorm_group HNORM_AN_INT {
    HNORM_BATCH = 0,    /**< one channel of all samples */
    HNORM_INSTANCE = 1, /**< one channel of one sample */
    HNORM_GROUPS = 2    /**< the base of hnorm_groups(G), not an argument itself */
} hnorm_group;
/**
 * Returns the argument for group norm with G groups of C/G neighbouring channels each.
 *
 * hnorm_groups(C) computes the same as HNORM_INSTANCE. hnorm_groups(1) is layer norm over channels
 * and positions.
 *
 * @param groups  G. It must divide C. The functions that take the result check this, and return
 *                HNORM_INVALID_ARGUMENT if it is not so or if G is less than 1.
 */
hnorm_group hnorm_groups(int64_t groups);

/**
 * Scale and shift: gamma(n, c) = gamma[n*stride_n + c*stride_c], and beta in the same way.
 *
 * For one value a channel (arrays of length C), use hnorm_affine_of. For one value a sample and
 * channel (arrays of length N*C, as in AdaIN and conditional normalization), use
 * hnorm_affine_of_samples. The strides must be 0 or more.
 */
typedef struct hnorm_affine {
    /** sizeof(hnorm_affine). */
    size_t size;
    /** Null: 1 everywhere. */
    const float *gamma;
    /** Null: 0 everywhere. */
    const float *beta;
    /** The distance between samples, in floats. */
    int64_t stride_n;
    /** The distance between channels, in floats. */
    int64_t stride_c;
} hnorm_affine;
/** One gamma and beta a channel. Either array may be null. */
static inline hnorm_affine hnorm_affine_of(const float *gamma, const float *beta) {
    const hnorm_affine affine = {sizeof(hnorm_affine), gamma, beta, 0, 1};
    return affine;
}
/** One gamma and beta a sample and channel, with index n*channels + c. Either array may be null. */
static inline hnorm_affine hnorm_affine_of_samples(const float *gamma, const float *beta, int64_t channels) {
    const hnorm_affine affine = {sizeof(hnorm_affine), gamma, beta, channels, 1};
    return affine;
}

/** A function that is applied to each element z after the normalization. */
typedef enum hnorm_activation HNORM_AN_INT {
    /** z */
    HNORM_NO_ACTIVATION = 0,
    /** 0 if z < 0, else z (torch.nn.ReLU) */
    HNORM_RELU = 1,
    /** negative_slope * z if z < 0, else z (torch.nn.LeakyReLU) */
    HNORM_LEAKY_RELU = 2
} hnorm_activation;

/**
 * Operations after a normalization, in the same pass over memory:
 * y = activation(normalized x + residual).
 *
 * A null pointer to this structure, or hnorm_post_ops_defaults(), means no operation. A NaN stays a
 * NaN.
 */
typedef struct hnorm_post_ops {
    /** sizeof(hnorm_post_ops). */
    size_t size;
    /** The activation, applied last. */
    hnorm_activation activation;
    /** The slope of HNORM_LEAKY_RELU, finite and 0 or more. Other activations do not read it. */
    float negative_slope;
    /** A tensor that is added before the activation, or null for none. It has the shape, type and
     * layout of x, and may have other strides. y may be the residual. */
    const hnorm_tensor *residual;
} hnorm_post_ops;
/** Returns a structure that means no operation. The slope is 0.01. */
static inline hnorm_post_ops hnorm_post_ops_defaults(void) {
    const hnorm_post_ops post = {sizeof(hnorm_post_ops), HNORM_NO_ACTIVATION, 0.01f, HNORM_NULL};
    return post;
}

/**
 * The gradient of hnorm_post_ops.
 *
 * - If forward added no residual, leave y and dresidual null. Backward computes the sign of the
 *   value before the activation from x, gamma and beta. It is the sign that forward had, bit for
 *   bit.
 * - If forward added a residual and there is an activation, backward reads the sign from y. It does
 *   not read the residual, so y may have taken its memory.
 */
typedef struct hnorm_post_ops_gradient {
    /** sizeof(hnorm_post_ops_gradient). */
    size_t size;
    /** The activation of forward. */
    hnorm_activation activation;
    /** The slope of HNORM_LEAKY_RELU, as in forward. */
    float negative_slope;
    /** The tensor that forward wrote. Give it if forward added a residual and there is an
     * activation. Null means that forward added no residual. It must not overlap dx. */
    const hnorm_tensor *y;
    /** Receives the gradient of the residual, which is dy times the slope of the activation. Null
     * if it is not wanted. It may be dy if dx is not, and must not overlap another tensor. With an
     * activation, y must be given too. */
    const hnorm_tensor *dresidual;
} hnorm_post_ops_gradient;
/** Returns a structure that means that forward had no post operation. The slope is 0.01. */
static inline hnorm_post_ops_gradient hnorm_post_ops_gradient_defaults(void) {
    const hnorm_post_ops_gradient post = {sizeof(hnorm_post_ops_gradient), HNORM_NO_ACTIVATION, 0.01f, HNORM_NULL,
                                          HNORM_NULL};
    return post;
}

/* ---- functions ------------------------------------------------------------------------------- */

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
 * result do not depend on which other results are wanted. A tensor whose groups have one element is
 * refused (HNORM_INVALID_ARGUMENT).
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

/* ---- layers ---------------------------------------------------------------------------------- */

/**
 * A normalization layer with its parameters, gradients and running statistics.
 *
 * @code{.c}
 * hnorm_layer_options options = hnorm_layer_defaults(HNORM_BATCH);
 * options.activation = HNORM_RELU;
 * hnorm_layer *bn = NULL;
 * hnorm_layer_create(64, &options, &bn);  // returns a status, as the calls below do
 *
 * hnorm_layer_forward(bn, &x, &y);        // training: statistics of the batch
 * hnorm_layer_backward(bn, &x, &dy, &dx);
 * const float *dgamma = hnorm_layer_gamma_grad(bn), *dbeta = hnorm_layer_beta_grad(bn);
 * for (int c = 0; c < 64; c++) {
 *     hnorm_layer_gamma(bn)[c] -= 0.1f * dgamma[c];
 *     hnorm_layer_beta(bn)[c] -= 0.1f * dbeta[c];
 * }
 * hnorm_layer_zero_grad(bn);
 *
 * hnorm_layer_train(bn, 0);               // evaluation: running statistics
 * hnorm_layer_forward(bn, &x, &y);
 * hnorm_layer_destroy(bn);
 * @endcode
 *
 * A group norm of 8 groups is hnorm_layer_defaults(hnorm_groups(8)).
 */
typedef struct hnorm_layer hnorm_layer;

/**
 * The options of a layer, as those of torch.nn.BatchNorm2d, InstanceNorm2d and GroupNorm.
 *
 * hnorm_layer_defaults gives the defaults of PyTorch for each kind. There is one difference:
 * instance norms count their steps too, so they can use the cumulative average. (PyTorch leaves
 * their counter at 0.)
 */
typedef struct hnorm_layer_options {
    /** sizeof(hnorm_layer_options). */
    size_t size;
    /** The kind of groups. hnorm_groups(G) needs a G that divides num_features. */
    hnorm_group group;
    /** Added to the variance. Finite and 0 or more. */
    double eps;
    /** The weight of the new value in the running statistics, in [0, 1]. With onnx_running_stats it
     * is the weight of the old value. */
    double momentum;
    /** Nonzero: the running statistics are the plain average of all steps so far, as with PyTorch's
     * momentum=None. momentum is not used. */
    int cumulative;
    /** Nonzero: the layer has gamma and beta, one value a channel. They start at 1 and 0. */
    int affine;
    /** Nonzero: the layer tracks running statistics, and uses them in evaluation. Zero: it uses the
     * statistics of the batch in evaluation too. It must be 0 for hnorm_groups. */
    int track_running_stats;
    /** Nonzero: running statistics as in BatchNormalization of ONNX. momentum is the weight of the
     * old value, and the running variance is the biased one. The default momentum of ONNX is 0.9.
     * It must not be combined with cumulative. */
    int onnx_running_stats;
    /** Applied to every y, after the residual if there is one. */
    hnorm_activation activation;
    /** The slope of HNORM_LEAKY_RELU, finite and 0 or more. */
    float negative_slope;
} hnorm_layer_options;

/**
 * Returns the default options of a kind of layer.
 *
 * All kinds have eps 1e-5, momentum 0.1 and no activation (negative_slope is 0.01).
 *
 * | group           | affine | track_running_stats |
 * |-----------------|--------|---------------------|
 * | HNORM_BATCH     | 1      | 1                   |
 * | HNORM_INSTANCE  | 0      | 0                   |
 * | hnorm_groups(G) | 1      | 0                   |
 */
static inline hnorm_layer_options hnorm_layer_defaults(hnorm_group group) {
    const hnorm_layer_options options = {sizeof(hnorm_layer_options),
                                         group,
                                         1e-5,
                                         0.1,
                                         0,
                                         group == HNORM_INSTANCE ? 0 : 1,
                                         group == HNORM_BATCH ? 1 : 0,
                                         0,
                                         HNORM_NO_ACTIVATION,
                                         0.01f};
    return options;
}

/**
 * Creates a layer on the CPU, in training mode.
 *
 * After a failure *layer is unchanged. Options that are not valid give HNORM_INVALID_ARGUMENT.
 *
 * @param num_features  The number of channels, 1 or more.
 * @param options       The options, or null for the defaults of HNORM_BATCH.
 * @param layer         Receives the layer. The caller gives it to hnorm_layer_destroy.
 */
hnorm_status hnorm_layer_create(int64_t num_features, const hnorm_layer_options *options, hnorm_layer **layer);
/** Frees a layer and its arrays. A null layer is allowed. */
void hnorm_layer_destroy(hnorm_layer *layer);

/**
 * Chooses between training and evaluation.
 *
 * In training, forward uses the statistics of the batch. If the layer tracks running statistics,
 * forward also updates them, with the unbiased variance:
 *
 *     running = (1 - momentum) * running + momentum * new
 *
 * For instance norm, `new` is the average over the samples. In evaluation, forward uses the running
 * statistics if the layer tracks them, and the statistics of the batch if not.
 *
 * @param layer     The layer.
 * @param training  Nonzero: training. Zero: evaluation.
 */
hnorm_status hnorm_layer_train(hnorm_layer *layer, int training);
/**
 * Normalizes x, as the mode of the layer says.
 *
 * If forward uses the statistics of the batch, groups of one element are refused
 * (HNORM_INVALID_ARGUMENT). A forward in training that fails in its computation is forgotten, and
 * so is the forward before it. hnorm_layer_backward then needs a new one.
 *
 * @param layer  The layer.
 * @param x      The input. Axis 1 has num_features channels. It lies on the device of the layer.
 * @param y      Receives the result. It may be x, but then backward is not possible.
 */
hnorm_status hnorm_layer_forward(hnorm_layer *layer, const hnorm_tensor *x, const hnorm_tensor *y);
/**
 * Does the same as hnorm_layer_forward, and adds a residual before the activation.
 *
 * @param layer     The layer.
 * @param x         The input.
 * @param residual  A tensor of the shape, type and layout of x. It must not be null.
 * @param y         Receives the result. It may be x or the residual.
 */
hnorm_status hnorm_layer_forward_add(hnorm_layer *layer, const hnorm_tensor *x, const hnorm_tensor *residual,
                                     const hnorm_tensor *y);
/**
 * Computes the gradients of the latest hnorm_layer_forward of this layer.
 *
 * The gradients of gamma and beta are added to gamma_grad and beta_grad. So a second call adds them
 * once more. The mode at the time of the call has no effect: the mode of that forward counts. The
 * call uses the present values of gamma and beta, and also takes the sign of the activation from
 * them. After a forward in evaluation, the present running statistics are constants. If the layer
 * tracks none, the statistics of the batch are computed again.
 *
 * The function returns HNORM_INVALID_ARGUMENT if there was no forward, if the latest forward was
 * hnorm_layer_forward_add, if x is another tensor, or if x has been overwritten, by that forward
 * or by a backward (with x as y or as dx). An empty x changes nothing, and a forward of an empty x
 * is not remembered. After a failure gamma_grad and beta_grad are unchanged on the CPU. On devices
 * they may have changed.
 *
 * @param layer  The layer.
 * @param x      The tensor of that forward: the same memory, shape and strides, and the same
 *               contents.
 * @param dy     The gradient of the loss at y.
 * @param dx     Receives the gradient of x. It may be dy or x. May be null.
 */
hnorm_status hnorm_layer_backward(hnorm_layer *layer, const hnorm_tensor *x, const hnorm_tensor *dy,
                                  const hnorm_tensor *dx);
/**
 * Computes the gradients of the latest hnorm_layer_forward_add of this layer.
 *
 * It is as hnorm_layer_backward, but refuses a forward without a residual.
 *
 * @param layer      The layer.
 * @param x          The tensor of that forward.
 * @param y          The tensor that forward wrote. It may be null if the layer has no activation.
 *                   It must not overlap dx.
 * @param dy         The gradient of the loss at y.
 * @param dx         Receives the gradient of x. It may be dy or x. May be null.
 * @param dresidual  Receives the gradient of the residual. It may be dy if dx is not, and must not
 *                   overlap another tensor. May be null.
 */
hnorm_status hnorm_layer_backward_add(hnorm_layer *layer, const hnorm_tensor *x, const hnorm_tensor *y,
                                      const hnorm_tensor *dy, const hnorm_tensor *dx, const hnorm_tensor *dresidual);
/** Sets gamma_grad and beta_grad to 0, which is also their first value. */
hnorm_status hnorm_layer_zero_grad(hnorm_layer *layer);
/**
 * Updates the running statistics with the moments of a step that were computed elsewhere, for example
 * merged from several machines (hnorm_merge_moments). It does what a forward in training does with
 * the statistics of its batch, bit for bit.
 *
 * @param layer  A batch norm on the CPU that tracks running statistics. Others are HNORM_UNSUPPORTED.
 * @param count  The number of elements of each channel, finite and 2 or more.
 * @param mean   The mean of each channel.
 * @param m2     M2 of each channel, as in hnorm_moments.
 */
hnorm_status hnorm_layer_update(hnorm_layer *layer, const double *count, const double *mean, const double *m2);
/** Sets the running mean to 0, the running variance to 1 and num_batches_tracked to 0. */
hnorm_status hnorm_layer_reset_running_stats(hnorm_layer *layer);
/**
 * Moves the arrays of the layer to a device, or back to the CPU.
 *
 * The layer then takes tensors of that device. It forgets its latest forward, and pointers to its
 * arrays from before are invalid. The function waits for the device. The calling thread must have
 * asked for the devices on both sides (gpu.h); HNORM_UNSUPPORTED says that it has not, or that the
 * layer is a group norm. After a failure the layer is where it was.
 *
 * @param layer   The layer.
 * @param device  The new place.
 */
hnorm_status hnorm_layer_to(hnorm_layer *layer, hnorm_device device);
/** Returns the place of the layer. It is HNORM_CPU for a null layer. */
hnorm_device hnorm_layer_device(const hnorm_layer *layer);

/* The functions below give the arrays of a layer, to read and to write. Each array has num_features
 * values and lies on the device of the layer. The result is null if the layer has no such array or
 * is null itself. */

/** Returns gamma: num_features values on the device of the layer, or null if it is not affine. */
float *hnorm_layer_gamma(hnorm_layer *layer);
/** Returns beta: num_features values on the device of the layer, or null if it is not affine. */
float *hnorm_layer_beta(hnorm_layer *layer);
/** Returns the accumulated gradient of gamma, as long as gamma, or null if it is not affine. */
float *hnorm_layer_gamma_grad(hnorm_layer *layer);
/** Returns the accumulated gradient of beta, as long as beta, or null if it is not affine. */
float *hnorm_layer_beta_grad(hnorm_layer *layer);
/** Returns the running mean: num_features values, or null if the layer does not track it. */
double *hnorm_layer_running_mean(hnorm_layer *layer);
/** Returns the running variance: num_features values, or null if the layer does not track it. */
double *hnorm_layer_running_var(hnorm_layer *layer);
/** Returns the counter of training steps, or null if the layer does not track running statistics.
 * It is one value, and always lies on the CPU. */
int64_t *hnorm_layer_num_batches_tracked(hnorm_layer *layer);
/** Returns the number of channels. It is 0 for a null layer. */
int64_t hnorm_layer_num_features(const hnorm_layer *layer);
/** Returns 1 in training mode, else 0. It is 0 for a null layer. */
int hnorm_layer_is_training(const hnorm_layer *layer);

/* ---- machine --------------------------------------------------------------------------------- */

/**
 * Sets the number of threads that a call may use. It never changes a result.
 *
 * The default is the value of the environment variable HNORM_NUM_THREADS. If that is not set, the
 * default is the number of cores that the process may use, by its affinity and by the quota of its
 * control groups. If HNORM_NUM_THREADS is not a number from 1 to 256, every computation on the CPU
 * returns HNORM_INVALID_ARGUMENT, until this function sets a number.
 *
 * @param threads  1 to 256, or 0 for the default.
 */
hnorm_status hnorm_set_num_threads(int threads);
/** Returns the number of threads that a call may use. */
int hnorm_get_num_threads(void);

/** One task of a parallel loop. hnorm gives it to hnorm_parallel_for. */
typedef void (*hnorm_task)(void *argument, int index);
/**
 * A parallel loop of the caller: calls task(argument, i) once for every 0 <= i < count.
 *
 * The order is free. The function must return only after the last task has returned. hnorm asks for
 * no more tasks than threads (hnorm_set_num_threads). It never asks from inside one of its tasks.
 * It asks from several threads at once only if several threads call hnorm.
 *
 * The function must not throw, because tasks may still be running then. If it throws, or returns
 * before all tasks have run, the call of hnorm returns HNORM_INVALID_ARGUMENT.
 */
typedef void (*hnorm_parallel_for)(void *pool, int count, hnorm_task task, void *argument);
/**
 * Replaces the threads of hnorm by a pool of the caller.
 *
 * @param parallel_for  The loop, or null to use the threads of hnorm again.
 * @param pool          The first argument of each call of parallel_for.
 */
hnorm_status hnorm_set_parallel_for(hnorm_parallel_for parallel_for, void *pool);

/**
 * Ends the threads of hnorm, and frees the memory that it keeps for later calls.
 *
 * Each thread first finishes its present work, so other threads may compute meanwhile. Later calls
 * start threads again. A program need not call this function: the end of the process and dlclose do
 * the same.
 */
void hnorm_shutdown(void);

/* A target is a set of CPU instructions that hnorm has kernels for, as "x86-64-avx2" or
 * "x86-64-sse41". The program `hnorm info` prints them. */

/** Returns the number of targets of this library. */
int hnorm_target_count(void);
/** Returns the name of target `index`, best first. It is null if there is no such target. */
const char *hnorm_target_name(int index);
/** Returns why target `index` cannot run on this machine ("CPU lacks avx2", "not compiled into this
 * library"), or null if it can. */
const char *hnorm_target_unusable(int index);
/** Returns which schedule file the kernels of target `index` are made from on this CPU, and why. A
 * target may have several, for some models of CPU each. The text stays valid until the thread's
 * next call of this function. */
const char *hnorm_target_schedule(int index);
/**
 * Returns the name of the target in use.
 *
 * This is the target of hnorm_set_target, else that of the environment variable HNORM_TARGET, else
 * the first that can run. The result is "" if HNORM_TARGET names a target that cannot run here.
 * Then every computation on the CPU fails.
 */
const char *hnorm_target(void);
/**
 * Forces a target. Targets differ in speed, never in results.
 *
 * @param name  The target, or null or "" to restore the choice of hnorm. An unknown name is
 *              HNORM_INVALID_ARGUMENT, a target that cannot run here is HNORM_UNSUPPORTED.
 */
hnorm_status hnorm_set_target(const char *name);

/**
 * Loads a kernel pack: kernels for a target of this library that `./dev tune --pack` has made
 * faster. They go before the library's own, in all calls that use this target. A pack changes speed,
 * never results.
 *
 * A pack belongs to the build of hnorm that it was made from: this is checked, and that the CPU has
 * what it needs, and that the file is whole. A pack is code, and runs with the rights of the
 * program: load those alone that you trust. The environment variable HNORM_PACK names a pack that
 * every program loads at its first computation. It ignores one that does not fit; hnorm_pack says
 * so. The pack that is loaded last is the one in use.
 *
 * @param path  The file, hnorm-pack-NAME.so. Null or "" gives the library its own kernels back. A
 *              file that cannot be read or is damaged is HNORM_FILE_ERROR. A pack of another build,
 *              or that cannot run here, is HNORM_UNSUPPORTED. Then all stays as it was.
 */
hnorm_status hnorm_load_pack(const char *path);
/** Returns which pack is in use, or why that of HNORM_PACK is not. Without a pack it is "". The text
 * stays valid until the next call of hnorm_load_pack. */
const char *hnorm_pack(void);

#ifdef __cplusplus
}
#endif
#if defined(__GNUC__)
#pragma GCC visibility pop
#endif
#endif
