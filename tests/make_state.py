"""Makes state_numpy.npz and state_numpy_compressed.npz: a layer's state as NumPy writes it.

Run once, with NumPy 2.2: python make_state.py. The tests read the files (test_layer_state_numpy.cpp), which hold the
same values: the first as numpy.savez writes what PyTorch's state_dict holds, the second compressed, in types and
byte orders that load too.
"""

import numpy

WEIGHT = [1.5, -0.25, 0.1, -1e-30, 3e38]
BIAS = [0.0, -0.0, 1e-45, 7.0, numpy.inf]
MEAN = [0.5, -1e10, 0.3, 0.0, 2.0**-140]
VARIANCE = [1.0, 0.0, 1e-20, 1e30, 0.7]
BATCHES = 1234567


def array(values, dtype):
    """The values, which are floats, in a type."""
    return numpy.array(values, numpy.float32).astype(dtype)


numpy.savez(
    "state_numpy.npz",
    weight=array(WEIGHT, "<f4"),
    bias=array(BIAS, "<f4"),
    running_mean=array(MEAN, "<f4"),
    running_var=array(VARIANCE, "<f4"),
    num_batches_tracked=numpy.int64(BATCHES),
)
numpy.savez_compressed(
    "state_numpy_compressed.npz",
    num_batches_tracked=numpy.array([BATCHES], ">i4"),
    running_var=array(VARIANCE, ">f8"),
    running_mean=array(MEAN, "<f8"),
    bias=numpy.asfortranarray(array(BIAS, ">f4")),
    weight=array(WEIGHT, ">f4"),
)
