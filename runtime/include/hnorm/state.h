/* hnorm: saving and loading a layer's state. The C interface of a library of its own, libhnorm_state.a (CMake: hnorm::state),
 * which needs libzip; libhnorm.a does not.
 *
 * A state is a NumPy .npz file: a zip archive of .npy arrays, which numpy.load reads and numpy.savez or savez_compressed
 * write, under the names of PyTorch's state_dict. C is the layer's num_features:
 *   weight, bias               (C,)  float32  gamma and beta, of an affine layer
 *   running_mean, running_var  (C,)  float64  of a layer that tracks running statistics
 *   num_batches_tracked        ()    int64    likewise
 * A file holds the arrays which its layer has, which may be none, and no others. Gradients, options, the mode and the latest
 * forward are no part of it. An affine layer has gamma and beta, both: of one that has one of them (Keras's scale=False or
 * center=False) write the other as ones or zeros.
 *
 * A failure leaves the layer and the file as they were, and hnorm_last_error() names the file, the array, what was found and
 * what is allowed: HNORM_INVALID_ARGUMENT for a null or empty argument, HNORM_FILE_ERROR for what is wrong with the file.
 */
#ifndef HNORM_STATE_H
#define HNORM_STATE_H

#include <hnorm/hnorm.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Writes the layer's state to `path`, uncompressed. The same state gives the same bytes, whenever and wherever it is saved
 * (by one version of libzip). The file is written beside `path` and takes its place when it is whole: a reader finds the old
 * file or the new one. A file that was there keeps its permissions, and a symbolic link goes on pointing to it; anything else
 * that is no regular file is refused. So is a num_batches_tracked which no forward could count on: HNORM_INVALID_ARGUMENT. */
hnorm_status hnorm_layer_save(const hnorm_layer *layer, const char *path);

/* Reads the layer's state from `path`. Values may be of either byte order and compressed. Floats may be of 16, 32 or 64 bits, and
 * become the layer's, rounded to nearest. num_batches_tracked may be int32 and of shape (1,), and may be missing, as in PyTorch's
 * oldest files: it is 0 then. Values are not judged (infinities and NaN load), except that
 * num_batches_tracked is 0 or more and less than 2^63 - 1. The mode, the options and the gradients stay, and
 * hnorm_layer_backward still goes with the latest forward, with gamma as loaded. Nothing else may use the layer meanwhile. */
hnorm_status hnorm_layer_load(hnorm_layer *layer, const char *path);

/* The same from a file that holds a whole model's state: the layer's arrays have names that begin with `prefix`, as
 * "layer1.0.bn1.", and all others are somebody else's. */
hnorm_status hnorm_layer_load_prefixed(hnorm_layer *layer, const char *path, const char *prefix);

#ifdef __cplusplus
}
#endif

#endif /* HNORM_STATE_H */
