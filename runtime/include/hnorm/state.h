/**
 * @file
 * Saving and loading the state of a layer: the C interface of the library libhnorm_state.a (CMake:
 * hnorm::state). This library needs libzip; libhnorm.a does not.
 *
 * @par Files
 * A state is a NumPy .npz file, which is a zip archive of .npy arrays. numpy.load reads it.
 * numpy.savez and numpy.savez_compressed write it. The arrays have the names of PyTorch's
 * state_dict. C is num_features of the layer.
 *
 * | array               | shape | type    | present if                             |
 * |---------------------|-------|---------|----------------------------------------|
 * | weight              | (C,)  | float32 | the layer is affine (gamma)            |
 * | bias                | (C,)  | float32 | the layer is affine (beta)             |
 * | running_mean        | (C,)  | float64 | the layer tracks running statistics    |
 * | running_var         | (C,)  | float64 | the layer tracks running statistics    |
 * | num_batches_tracked | ()    | int64   | the layer tracks running statistics    |
 *
 * A file holds the arrays that its layer has, and no others. A layer may have none. Gradients,
 * options, the mode and the latest forward are not saved.
 *
 * An affine layer has both gamma and beta. For a layer of another library that has only one of them
 * (scale=False or center=False in Keras), write the other one as ones or zeros.
 *
 * @code{.c}
 * if (hnorm_layer_save(bn, "bn.npz") != HNORM_OK) fprintf(stderr, "%s\n", hnorm_last_error());
 * hnorm_layer_load(bn, "bn.npz");
 * hnorm_layer_load_prefixed(bn, "model.npz", "layer1.0.bn1.");
 * @endcode
 *
 * @par Errors
 * A failed call leaves the layer and the file as they were. hnorm_last_error() names the file and
 * the array, and says what was found and what is allowed.
 * - HNORM_INVALID_ARGUMENT: the layer, the path or the prefix is null, or the path is empty.
 * - HNORM_FILE_ERROR: the file cannot be read or written, or its contents do not fit the layer.
 * - HNORM_OUT_OF_MEMORY: there is no memory for a copy of the state.
 *
 * A layer on a device is saved and loaded through the CPU. The calling thread must have asked for
 * the device (gpu.h). If the device fails while a state is loaded, the layer may hold a part of it.
 */
#ifndef HNORM_STATE_H
#define HNORM_STATE_H

#include <hnorm/hnorm.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Writes the state of a layer to a file, uncompressed.
 *
 * The same state always gives the same bytes, with one version of libzip. The function writes a new
 * file beside the old one, and then puts it in the place of the old one. So a reader finds either
 * the old file or the whole new one. The new file has the permissions of the old one. If the path
 * is a symbolic link, the link stays, and the file that it points to is replaced. A path that is
 * something else, for example a directory, is refused.
 *
 * A num_batches_tracked that is negative or 2^63 - 1 is HNORM_INVALID_ARGUMENT, because no forward
 * could go on with it.
 *
 * @param layer  The layer.
 * @param path   The name of the file.
 */
hnorm_status hnorm_layer_save(const hnorm_layer *layer, const char *path);

/**
 * Reads the state of a layer from a file.
 *
 * The file may be compressed, and its values may have either byte order. Floats may have 16, 32 or
 * 64 bits; they are rounded to nearest. num_batches_tracked may be int32, may have the shape (1,),
 * and may be missing, as in the oldest files of PyTorch: then it becomes 0. It must be 0 or more,
 * and less than 2^63 - 1. Other values are not checked: infinities and NaN load.
 *
 * The mode, the options and the gradients of the layer stay. hnorm_layer_backward still belongs to
 * the latest forward, but uses the gamma that was loaded. No other thread may use the layer during
 * the call.
 *
 * @param layer  The layer.
 * @param path   The name of the file.
 */
hnorm_status hnorm_layer_load(hnorm_layer *layer, const char *path);

/**
 * Reads the state of a layer from the file of a whole model.
 *
 * The function does the same as hnorm_layer_load with the arrays whose names begin with `prefix`.
 * It ignores all other arrays. After the prefix, each name must be that of an array of the layer.
 *
 * @param layer   The layer.
 * @param path    The name of the file.
 * @param prefix  For example "layer1.0.bn1.". It may be empty.
 */
hnorm_status hnorm_layer_load_prefixed(hnorm_layer *layer, const char *path, const char *prefix);

#ifdef __cplusplus
}
#endif

#endif /* HNORM_STATE_H */
