/**
 * @file
 * Layers. hnorm.h includes this header.
 */
#ifndef HNORM_LAYER_H
#define HNORM_LAYER_H

#include <hnorm/status.h>
#include <hnorm/tensor.h>

#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif
#ifdef __cplusplus
extern "C" {
#endif

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
 * asked for the devices on both sides (gpu.h), or the result is HNORM_UNSUPPORTED. After a failure
 * the layer is where it was.
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

#ifdef __cplusplus
}
#endif
#if defined(__GNUC__)
#pragma GCC visibility pop
#endif
#endif
