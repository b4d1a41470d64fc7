/* hnorm: batch and instance normalization. The C interface.
 *
 * A tensor is (N, C, spatial...) of rank 2 to 5. "S" below is the number of positions, the product of the spatial
 * extents (1 for rank 2). A *group* is what is normalized together:
 *   batch:    one channel,                 C groups of N*S elements, index c
 *   instance: one channel of one sample, N*C groups of S elements,   index n*C + c
 *
 * Every function that can fail returns a status, and hnorm_last_error() then says in a sentence what was wrong: which
 * argument, its value and what is allowed. All arguments are checked before anything is written, and a refusal of them leaves
 * everything as it was. Only where the computation itself fails (memory runs out in it; the caller's parallel_for does not do
 * its work) are the outputs of that call unspecified, x too if it is in place; a layer's running statistics are not touched.
 * N*C, the positions of a plane and each stride are at most 2,000,000,000. Where channels are adjacent, the positions of a
 * plane (its samples, if it has one position) lie at most 62,500,000 elements apart. A tensor spans at most 2^40 elements,
 * its padding included. More is refused. An empty tensor (an extent of 0) is valid input to every function: nothing is
 * computed, nothing is written but zeros: moments', and backward's sums and dgamma, dbeta.
 *
 * Concurrency: all functions may be called from several threads at once, except that one layer must not be trained,
 * changed or given to backward by two threads at once, and that settings (threads, target, parallel_for) must not be
 * changed while others compute. A child of fork() begins threads of its own. A call needs 64 KiB of stack.
 */
#ifndef HNORM_H
#define HNORM_H

#include <stddef.h>
#include <stdint.h>

/* What the shared library gives, however hidden the rest is compiled. */
#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif
#ifdef __cplusplus
extern "C" {
/* An int in both languages, so that a value which names nothing can be passed, and refused. */
#define HNORM_AN_INT : int
#else
#define HNORM_AN_INT
#endif

typedef enum hnorm_status HNORM_AN_INT {
    HNORM_OK = 0,
    HNORM_INVALID_ARGUMENT = 1, /* the caller's mistake: null, shape, stride, range, overlap */
    HNORM_UNSUPPORTED = 2,      /* meaningful, but not in this build or on this machine */
    HNORM_OUT_OF_MEMORY = 3,
    HNORM_INTERNAL = 4,    /* a defect of hnorm */
    HNORM_FILE_ERROR = 5,  /* a file cannot be read or written, or holds something else (state.h) */
    HNORM_DEVICE_ERROR = 6 /* a device's driver failed; the reason has its words (gpu.h) */
} hnorm_status;

/* The reason of the calling thread's latest failure; never null. Valid until its next failure. */
const char *hnorm_last_error(void);
/* "HNORM_OK" and so on; never null. */
const char *hnorm_status_name(hnorm_status status);
/* "major.minor.patch" */
const char *hnorm_version(void);

/* ---- tensors ---------------------------------------------------------------------------------------------------- */

/* What a tensor's elements are. 16-bit ones (IEEE half, and the upper half of a float) are converted to float where they are
 * read and rounded to nearest even where they are written; all between, parameters and statistics, is float or wider. */
typedef enum hnorm_type HNORM_AN_INT { HNORM_F32 = 0, HNORM_F16 = 1, HNORM_BF16 = 2 } hnorm_type;
/* Where a tensor lies, and with it every other array of the call: gpu.h says what that means on devices. */
typedef enum hnorm_device HNORM_AN_INT { HNORM_CPU = 0, HNORM_CUDA = 1, HNORM_OPENCL = 2 } hnorm_device;

#define HNORM_MAX_RANK 5

/* A view of memory that the caller owns. The shape is (N, C, spatial...) in every layout; strides, which count elements, tell
 * them apart, as PyTorch's memory formats do:
 *   channels-first (NCHW): the spatial axes are dense (each stride the product of the extents after it); n and c may be padded.
 *   channels-last  (NHWC): stride 1 in c; the innermost spatial stride is C, or more where the tensor is a view of some
 *                          channels of a larger one; the others are its multiples; n may be padded.
 * An axis of extent 1 may have any stride. All tensors of a call have one type, one layout and one device. */
typedef struct hnorm_tensor {
    void *data; /* on the CPU and CUDA an address; on OpenCL a cl_mem */
    hnorm_type type;
    hnorm_device device;
    int rank;
    int64_t shape[HNORM_MAX_RANK];
    int64_t strides[HNORM_MAX_RANK];
} hnorm_tensor;

/* A dense tensor of any type and layout on the CPU, as hnorm_channels_first; shape is (N, C, spatial...) here too. */
hnorm_tensor hnorm_dense(void *data, hnorm_type type, int channels_last, int rank, const int64_t *shape);
/* A dense channels-first f32 tensor (rightmost axis contiguous) on the CPU. Does not validate: the functions do.
 * A rank outside 0..5 is kept, with no shape copied. */
hnorm_tensor hnorm_channels_first(float *data, int rank, const int64_t *shape);

/* What is normalized together: a channel of all samples (batch norm), a channel of one sample (instance norm), or several
 * neighbouring channels of one sample (group norm): hnorm_groups(G) for G groups of C/G channels each, so that hnorm_groups(C) is
 * HNORM_INSTANCE and hnorm_groups(1) layer norm over channels and positions. gamma and beta are one a channel in all of them.
 * Arrays of one value a group are indexed by c; n*C + c; n*G + g. */
typedef enum hnorm_group HNORM_AN_INT { HNORM_BATCH = 0, HNORM_INSTANCE = 1, HNORM_GROUPS = 2 } hnorm_group;
/* G groups; G must divide C, which the functions check. */
hnorm_group hnorm_groups(int64_t groups);

/* gamma(n, c) = gamma[n*stride_n + c*stride_c], likewise beta. A null gamma is 1, a null beta is 0.
 * Per channel: {gamma, beta, 0, 1}. Per sample and channel, as AdaIN or conditional normalization: {gamma, beta, C, 1}. */
typedef struct hnorm_affine {
    const float *gamma;
    const float *beta;
    int64_t stride_n;
    int64_t stride_c;
} hnorm_affine;

typedef enum hnorm_activation HNORM_AN_INT {
    HNORM_NO_ACTIVATION = 0,
    HNORM_RELU = 1,      /* 0 where z < 0, else z: torch.nn.ReLU */
    HNORM_LEAKY_RELU = 2 /* negative_slope * z where z < 0, else z: torch.nn.LeakyReLU */
} hnorm_activation;

/* What follows a normalization in the same pass over memory: y = activation(normalized + residual). A null pointer to it, or
 * one to zeros, means nothing. A NaN stays a NaN. */
typedef struct hnorm_post_ops {
    hnorm_activation activation;
    float negative_slope; /* read for HNORM_LEAKY_RELU alone; finite and 0 or more: y keeps z's sign */
    /* Of x's shape and type, with strides of its own; null: none. y may be the residual. */
    const hnorm_tensor *residual;
} hnorm_post_ops;

/* Its gradient. Where no residual was added, the activation's sign is recomputed from x, gamma and beta, bit for bit as forward
 * had it. Where one was, backward needs y, which has that sign too: the residual need not exist any more (y may be its
 * memory), and y does, since whatever came after read it. */
typedef struct hnorm_post_ops_gradient {
    hnorm_activation activation;
    float negative_slope;
    const hnorm_tensor
        *y; /* what forward wrote, where a residual was added and there is an activation; null: no residual */
    /* Receives the residual's gradient: dy behind the activation. It is dy, or apart from all others; null: not wanted. */
    const hnorm_tensor *dresidual;
} hnorm_post_ops_gradient;

/* ---- functions -------------------------------------------------------------------------------------------------- */

/* Count, mean and M2 = sum of (x - mean)^2 of each group (biased variance = M2/count). count, mean, M2: one double a
 * group. An empty group gives 0, 0, 0. */
hnorm_status hnorm_moments(const hnorm_tensor *x, hnorm_group group, double *count, double *mean, double *m2);

/* Merges the moments of two disjoint sets of samples, group by group, into the first (Chan, Golub, LeVeque 1983):
 * statistics merge across batches and machines. Counts may differ and may be 0. */
hnorm_status hnorm_merge_moments(int64_t groups, double *count, double *mean, double *m2, const double *other_count,
                                 const double *other_mean, const double *other_m2);

/* y = (x - mean)/sqrt(variance + eps) * gamma + beta with given statistics: one double a group. y may be x.
 * affine and post may be null, here as below. */
hnorm_status hnorm_normalize(const hnorm_tensor *x, hnorm_group group, const double *mean, const double *variance,
                             const hnorm_affine *affine, double eps, const hnorm_post_ops *post, const hnorm_tensor *y);

/* moments and normalize in one pass over memory. mean and variance (biased) receive one double a group; either may be
 * null. Refuses groups of one element (their variance is 0 and y would be beta whatever x). A group of equal elements gives
 * beta, whatever eps is; with an eps of 0 its gradients are 0, but beta's. y may be x. */
hnorm_status hnorm_forward(const hnorm_tensor *x, hnorm_group group, const hnorm_affine *affine, double eps,
                           const hnorm_post_ops *post, const hnorm_tensor *y, double *mean, double *variance);

/* tf.nn.batch_normalization: y = (x - mean)/sqrt(variance + variance_epsilon) * scale + offset. mean, variance and, where
 * not null, offset and scale hold `length` floats: length is C (per channel) or N*C (per sample and channel). y may be x. */
hnorm_status hnorm_batch_normalization(const hnorm_tensor *x, int64_t length, const float *mean, const float *variance,
                                       const float *offset, const float *scale, double variance_epsilon,
                                       const hnorm_tensor *y);

/* ---- backward --------------------------------------------------------------------------------------------------- */

/* dy is the loss's gradient at y. x and dy are only read: they may share memory. dx has their shape; it is dy, x, or apart
 * from both. Which results are wanted changes no bit of the others. */

/* dz, the gradient before an activation, from dy behind it and from y, what the activation gave: dz is dy where y > 0, else the
 * slope times dy. dz is dy, or y, or apart from both. For distributed batch norm with post-ops: dz is the residual's gradient,
 * and what hnorm_backward_reduce and hnorm_backward_apply take for dy. */
hnorm_status hnorm_activation_backward(const hnorm_tensor *y, const hnorm_tensor *dy, hnorm_activation activation,
                                       float negative_slope, const hnorm_tensor *dz);

/* The sums over each group that backward rests on: of dy, and of dy*(x - mean); mean and both results one double a group.
 * They add across machines: distributed batch norm adds them, and frozen statistics' gradients follow from them. Not of
 * hnorm_groups, whose channels differ in gamma; nor does hnorm_backward_apply take those. */
hnorm_status hnorm_backward_reduce(const hnorm_tensor *x, const hnorm_tensor *dy, hnorm_group group, const double *mean,
                                   double *sum_dy, double *sum_dy_xmu);

/* The gradient with respect to x from given sums (docs/order.md, "Backward"): count, the elements of the whole group (all
 * machines'), mean, variance, sum_dy and sum_dy_xmu one double a group. Counts are finite and 1 or more. gamma must not
 * be per sample in batch norm: those sums do not tell samples apart. */
hnorm_status hnorm_backward_apply(const hnorm_tensor *x, const hnorm_tensor *dy, hnorm_group group, const double *count,
                                  const double *mean, const double *variance, const double *sum_dy,
                                  const double *sum_dy_xmu, const hnorm_affine *affine, double eps,
                                  const hnorm_tensor *dx);

/* hnorm_forward's gradients; mean and variance are those it gave, x what it was given (not overwritten in place). dgamma
 * and dbeta receive one float a channel, or N*C (index n*C + c) where affine has a stride_n other than 0. Any of dx, dgamma
 * and dbeta may be null. Refuses groups of one element, as hnorm_forward does. */
hnorm_status hnorm_backward(const hnorm_tensor *x, const hnorm_tensor *dy, hnorm_group group, const double *mean,
                            const double *variance, const hnorm_affine *affine, double eps,
                            const hnorm_post_ops_gradient *post, const hnorm_tensor *dx, float *dgamma, float *dbeta);

/* hnorm_normalize's gradients: as hnorm_backward, but mean and variance are constants (frozen statistics, evaluation).
 * x may be null where dgamma is and no activation's sign hangs on it (dbeta's last bits may then differ). */
hnorm_status hnorm_normalize_backward(const hnorm_tensor *x, const hnorm_tensor *dy, hnorm_group group,
                                      const double *mean, const double *variance, const hnorm_affine *affine,
                                      double eps, const hnorm_post_ops_gradient *post, const hnorm_tensor *dx,
                                      float *dgamma, float *dbeta);

/* ---- layers ----------------------------------------------------------------------------------------------------- */

typedef struct hnorm_layer hnorm_layer;

/* As torch.nn.BatchNorm2d, InstanceNorm2d and GroupNorm. hnorm_layer_defaults fills the defaults of each. One difference: instance
 * norms count their steps too, and so have the cumulative average (PyTorch leaves their counter at 0). */
typedef struct hnorm_layer_options {
    hnorm_group group;
    double eps;
    double momentum; /* weight of the new value (of the old one where onnx_running_stats), in [0, 1] */
    int cumulative;  /* nonzero: momentum=None of PyTorch, the running statistics are the plain average so far */
    int affine;      /* nonzero: gamma (starts at 1) and beta (starts at 0), one a channel */
    int track_running_stats; /* zero: batch statistics in evaluation too; always so of hnorm_groups */
    int onnx_running_stats; /* nonzero: ONNX's BatchNormalization, momentum weights the old value and the running variance
                              * is the biased one. ONNX's own default momentum is 0.9. Not with cumulative. */
    hnorm_activation activation; /* applied to every y, after the residual where there is one */
    float negative_slope;        /* of HNORM_LEAKY_RELU: finite and 0 or more */
} hnorm_layer_options;

/* batch: eps 1e-5, momentum 0.1, affine 1, track 1. instance: eps 1e-5, momentum 0.1, affine 0, track 0.
 * hnorm_groups: eps 1e-5, affine 1, track 0. All: no activation. */
hnorm_layer_options hnorm_layer_defaults(hnorm_group group);

/* A layer in training mode. options null: the batch defaults. */
hnorm_status hnorm_layer_create(int64_t num_features, const hnorm_layer_options *options, hnorm_layer **layer);
void hnorm_layer_destroy(hnorm_layer *layer); /* null is allowed */

/* training nonzero: forward uses the batch's statistics and, when tracked, updates the running ones (variance unbiased).
 * zero (evaluation): forward uses the running statistics where tracked, else the batch's. */
hnorm_status hnorm_layer_train(hnorm_layer *layer, int training);
hnorm_status hnorm_layer_forward(hnorm_layer *layer, const hnorm_tensor *x, const hnorm_tensor *y);
/* The same with a residual (hnorm_post_ops) added before the activation. */
hnorm_status hnorm_layer_forward_add(hnorm_layer *layer, const hnorm_tensor *x, const hnorm_tensor *residual,
                                     const hnorm_tensor *y);
/* The gradients of the latest forward, whatever the mode now: x must be the tensor which that forward was given (memory,
 * shape and strides), with its contents. Refused where no forward came before, where x is another, and where x was overwritten
 * in place by that forward or by a backward (dx its x). It may be called again: the gradients of gamma and beta are added to
 * gamma_grad and beta_grad. dx may be null, dy or x. gamma is the one of now. After a forward in evaluation with running
 * statistics these are constants, and those of now; without, the batch's are computed again. An empty x changes nothing, and
 * an empty forward is not remembered. The activation's sign is that of the gamma and beta of now. */
hnorm_status hnorm_layer_backward(hnorm_layer *layer, const hnorm_tensor *x, const hnorm_tensor *dy,
                                  const hnorm_tensor *dx);
/* The same after hnorm_layer_forward_add: y is what that wrote, null where the layer has no activation; dresidual may be null
 * (hnorm_post_ops_gradient). Each backward refuses the other's forward. */
hnorm_status hnorm_layer_backward_add(hnorm_layer *layer, const hnorm_tensor *x, const hnorm_tensor *y,
                                      const hnorm_tensor *dy, const hnorm_tensor *dx, const hnorm_tensor *dresidual);
/* gamma_grad and beta_grad 0, as they start */
hnorm_status hnorm_layer_zero_grad(hnorm_layer *layer);
/* running mean 0, running variance 1, num_batches_tracked 0 */
hnorm_status hnorm_layer_reset_running_stats(hnorm_layer *layer);
/* Moves the layer's arrays to a device of the calling thread's (gpu.h), or back to the CPU (a layer starts there): it then takes
 * tensors that lie there, and its latest forward is forgotten. Waits for the device. Pointers from before are void. */
hnorm_status hnorm_layer_to(hnorm_layer *layer, hnorm_device device);
hnorm_device hnorm_layer_device(const hnorm_layer *layer);

/* The layer's own arrays, num_features long, to read and write; null where the layer has none or is itself null. They lie on the
 * layer's device; the counter is always the CPU's. */
float *hnorm_layer_gamma(hnorm_layer *layer);
float *hnorm_layer_beta(hnorm_layer *layer);
float *hnorm_layer_gamma_grad(hnorm_layer *layer);
float *hnorm_layer_beta_grad(hnorm_layer *layer);
double *hnorm_layer_running_mean(hnorm_layer *layer);
double *hnorm_layer_running_var(hnorm_layer *layer);
int64_t *hnorm_layer_num_batches_tracked(hnorm_layer *layer);
int64_t hnorm_layer_num_features(const hnorm_layer *layer);
int hnorm_layer_is_training(const hnorm_layer *layer);

/* ---- machine ---------------------------------------------------------------------------------------------------- */

/* Threads that a call may use, 1 to 256; 0 restores the default: HNORM_NUM_THREADS if set, else the cores that
 * the process may use, by its affinity and its control groups' quota. Never changes results. Where
 * HNORM_NUM_THREADS is no such number, every computation fails and says so. */
hnorm_status hnorm_set_num_threads(int threads);
int hnorm_get_num_threads(void);

/* Runs task(argument, i) for every 0 <= i < count, each once, in any order, and returns after the last has returned.
 * hnorm asks for at most as many tasks as threads (hnorm_set_num_threads), never from inside one of its tasks, and from
 * several threads at once only where several call hnorm. It must not throw: tasks may still be running then. */
typedef void (*hnorm_task)(void *argument, int index);
typedef void (*hnorm_parallel_for)(void *pool, int count, hnorm_task task, void *argument);
/* Replaces hnorm's thread pool by the caller's. Null restores it. */
hnorm_status hnorm_set_parallel_for(hnorm_parallel_for parallel_for, void *pool);

/* Ends hnorm's threads, each once it has done what it is at, and frees the memory that is kept for later calls. Others may
 * compute meanwhile. What comes later begins threads anew. Nobody has to call it: the end of the process and dlclose do the same. */
void hnorm_shutdown(void);

/* The targets that hnorm has kernels for, best first ("x86-64-avx2", "x86-64-sse41"). name: null past the end. unusable: why
 * target i cannot run here ("CPU lacks avx2", "not compiled into this library"), or null if it can. `hnorm info` prints them. */
int hnorm_target_count(void);
const char *hnorm_target_name(int index);
const char *hnorm_target_unusable(int index);
/* The one in use: the first usable, or the one forced by HNORM_TARGET or hnorm_set_target. "" where HNORM_TARGET names
 * none that runs here: every computation then fails and says so. */
const char *hnorm_target(void);
/* Forces a target; null or "" restores the choice. An unknown or unusable one is an error. */
hnorm_status hnorm_set_target(const char *name);

#ifdef __cplusplus
}
#endif
#if defined(__GNUC__)
#pragma GCC visibility pop
#endif
#endif
