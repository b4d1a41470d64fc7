/**
 * @file
 * Tensors, kinds of groups, gamma and beta, residuals and activations. hnorm.h includes this header.
 */
#ifndef HNORM_TENSOR_H
#define HNORM_TENSOR_H

#include <hnorm/status.h>

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif
#ifdef __cplusplus
extern "C" {
#endif

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

#ifdef __cplusplus
}
#endif
#if defined(__GNUC__)
#pragma GCC visibility pop
#endif
#endif
