"""What is an array, and what is refused: memory is used as it is, and a sentence says what is wrong."""
import ctypes

import hnorm
import ml_dtypes
import numpy as np
import pytest
from reference import TYPES, random, tensor

BATCH, INSTANCE = hnorm.Group.batch, hnorm.Group.instance


def test_results_are_written_where_they_are_wanted():
    x = random((3, 4, 5))
    expected, out, mean, variance = hnorm.forward(x, BATCH), np.empty_like(x), np.empty(4), np.empty((4, 1))
    assert hnorm.forward(x, BATCH, out=out, mean=mean, variance=variance) is out
    assert np.array_equal(out, expected) and np.array_equal(mean, hnorm.moments(x, BATCH).mean)
    dx, dgamma, dbeta = np.empty_like(x), np.empty(4, np.float32), np.empty(4, np.float32)
    given = hnorm.backward(x, out, BATCH, mean, variance, dx=dx, dgamma=dgamma, dbeta=dbeta)
    assert all(a is b for a, b in zip(given, (dx, dgamma, dbeta)))
    assert np.array_equal(dx, hnorm.backward(x, out, BATCH, mean, variance)[0])
    assert hnorm.forward(x, BATCH, out=x) is x and np.array_equal(x, expected)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("type_", TYPES)
def test_parts_of_larger_arrays_are_used_in_place(type_, last):
    whole = random((4, 8, 3, 5), type_, last)
    before = whole.copy()
    part = whole[1:3, 2:6]
    expected = hnorm.forward(tensor(part, type_, last), BATCH)
    hnorm.forward(part, BATCH, out=part)
    assert np.array_equal(part, expected)
    before[1:3, 2:6] = expected
    assert np.array_equal(whole, before)


def test_layouts_are_read_from_strides():
    first = random((2, 3, 4, 5))
    last = tensor(first, last=True)
    assert hnorm.forward(last, BATCH).strides == last.strides
    with pytest.raises(hnorm.Error, match="layout"):
        hnorm.forward(first, BATCH, out=last)


class Tensor:
    """What has DLPack and nothing else."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **kwargs):
        return self.array.__dlpack__(**kwargs)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


def test_anything_with_dlpack_is_an_array():
    x = random((3, 4, 5))
    out = np.empty_like(x)
    hnorm.forward(Tensor(x), BATCH, Tensor(np.ones(4, np.float32)), out=Tensor(out))
    assert np.array_equal(out, hnorm.forward(x, BATCH))
    with pytest.raises(hnorm.Error, match="out is None, and x is of the type Tensor: it must be given"):
        hnorm.forward(Tensor(x), BATCH)


def test_so_is_what_gives_its_buffer():
    memory = memoryview(np.arange(12, dtype=np.float32)).cast("B").cast("f", (3, 4))
    assert np.array_equal(hnorm.moments(memory, BATCH).mean, [4, 5, 6, 7])


class OnCuda(Tensor):
    """Claims that its memory lies on a CUDA device."""

    def __dlpack__(self, **kwargs):
        class Managed(ctypes.Structure):  # DLManagedTensor, up to the device
            _fields_ = [("data", ctypes.c_void_p), ("device_type", ctypes.c_int32), ("device_id", ctypes.c_int32)]

        capsule = self.array.__dlpack__()
        pointer = ctypes.pythonapi.PyCapsule_GetPointer
        pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
        managed = Managed.from_address(pointer(capsule, b"dltensor"))
        managed.device_type = self.kind
        managed.data = self.address or managed.data
        return capsule

    kind = 2
    address = None


def test_arrays_of_a_call_lie_in_one_place():
    x, on_cuda = random((3, 4, 5)), OnCuda(np.ones(4, np.float32))
    with pytest.raises(hnorm.Error, match="gamma lies on CUDA device 0, and x on the CPU: all arrays"):
        hnorm.forward(x, BATCH, on_cuda)
    with pytest.raises(hnorm.Error, match="out lies on CUDA device 0, and x on the CPU"):
        hnorm.forward(x, BATCH, out=OnCuda(x))
    with pytest.raises(hnorm.Error, match="count lies on the CPU, and x on CUDA device 0"):
        hnorm.moments(OnCuda(x), BATCH)


def test_backward_apply_reads_nothing_of_a_device():
    def of_no_memory(array):
        on_cuda = OnCuda(array)
        on_cuda.address = 4096
        return on_cuda

    x, dy, dx = (of_no_memory(random((3, 4, 5))) for _ in range(3))
    ones = of_no_memory(np.ones(4))
    with pytest.raises(hnorm.Error, match="backward_apply: x.* on the CPU"):
        hnorm.backward_apply(x, dy, BATCH, ones, ones, ones, hnorm.BackwardSums(ones, ones), dx=dx)


def test_a_device_without_kernels_is_refused():
    x = OnCuda(random((3, 4, 5)))
    x.kind = 8
    out = OnCuda(x.array.copy())
    out.kind = 8
    with pytest.raises(hnorm.Error, match="x lies on a device of DLPack's type 8, number 0: it must lie on") as refused:
        hnorm.forward(x, BATCH, out=out)
    assert refused.value.status == "HNORM_UNSUPPORTED"


def test_cuda_without_a_driver_is_refused():
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        pass
    else:
        pytest.skip("this machine has a driver of CUDA, which would take the memory of the CPU for its own")
    x = random((3, 4, 5))
    with pytest.raises(hnorm.Error, match="(?i)cuda") as refused:
        hnorm.forward(OnCuda(x), BATCH, out=OnCuda(x.copy()))
    assert refused.value.status == "HNORM_UNSUPPORTED"


def test_parameters_are_converted():
    x = random((3, 4, 5))
    gamma = [1.0, 2, 3, 4]
    expected = hnorm.forward(x, BATCH, np.float32(gamma))
    for same in (gamma, tuple(gamma), np.float64(gamma), np.float64(gamma)[::-1].copy()[::-1]):
        assert np.array_equal(hnorm.forward(x, BATCH, same), expected)


X = random((3, 4, 5))
READ_ONLY = X.copy()
READ_ONLY.flags.writeable = False
REFUSED = {
    "x has the type float64: it must be float32, float16 or bfloat16": lambda: hnorm.forward(X.astype(float), BATCH),
    "x has the type complex64": lambda: hnorm.forward(X.astype(np.complex64), BATCH),
    "x.rank is 1: it must be 2 to 5": lambda: hnorm.forward(X[0, 0], BATCH),
    "x.rank is 6: it must be 2 to 5": lambda: hnorm.forward(X.reshape(1, 1, 1, 3, 4, 5), BATCH),
    r"x.strides\[2\] is -1": lambda: hnorm.forward(X[:, :, ::-1], BATCH),
    r"hnorm_groups\(3\), but there are 4 channels": lambda: hnorm.forward(X, hnorm.groups(3)),
    r"group is": lambda: hnorm.moments(X, hnorm.groups(10**18)),
    "affine holds 3 values but must hold 4": lambda: hnorm.forward(X, BATCH, [1, 2, 3]),
    "mean has the type float32: it must be float64": lambda: hnorm.forward(X, BATCH, mean=np.empty(4, np.float32)),
    "mean has gaps": lambda: hnorm.forward(X, BATCH, mean=np.empty(8)[::2]),
    "mean holds 5 values but must hold 4": lambda: hnorm.normalize(X, BATCH, np.ones(5), np.ones(4)),
    "out is read-only": lambda: hnorm.forward(X, BATCH, out=READ_ONLY),
    "eps is -1": lambda: hnorm.forward(X, BATCH, eps=-1),
    'activation is gelu: it must be None, "relu" or "leaky_relu"': lambda: hnorm.forward(X, BATCH, activation="gelu"),
    "negative_slope is -1": lambda: hnorm.forward(X, BATCH, activation="leaky_relu", negative_slope=-1),
    "expected more than 1 value": lambda: hnorm.forward(X[:, :, :1], INSTANCE),
    "x is None": lambda: hnorm.backward(None, X, BATCH, np.ones(4), np.ones(4)),
    "mean holds 3 values but must hold 4": lambda: hnorm.backward_reduce(X, X, BATCH, np.ones(3)),
    "y.* overlaps|overlap": lambda: hnorm.forward(X[:2], BATCH, out=X[1:]),
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_a_refused_call_says_why_and_changes_nothing(sentence):
    before = X.copy()
    with pytest.raises(ValueError, match=sentence) as refused:
        REFUSED[sentence]()
    assert type(refused.value) is hnorm.Error
    assert refused.value.status in ("HNORM_INVALID_ARGUMENT", "HNORM_UNSUPPORTED")
    assert np.array_equal(X, before)


def test_what_is_no_array_is_a_type_error():
    for wrong in ([1.0], "x", 3):
        with pytest.raises(TypeError, match="x is of the type .*, which gives no array"):
            hnorm.forward(wrong, BATCH)
    with pytest.raises(TypeError):
        hnorm.forward(X, "batch")


def test_read_only_inputs_are_inputs():
    assert np.array_equal(hnorm.forward(READ_ONLY, BATCH), hnorm.forward(X, BATCH))


def test_empty_arrays_are_arrays():
    for shape in ((0, 4, 5), (3, 4, 0), (3, 0, 5)):
        assert hnorm.forward(np.empty(shape, np.float32), BATCH).shape == shape
    assert np.array_equal(hnorm.moments(np.empty((0, 4), ml_dtypes.bfloat16), BATCH).count, np.zeros(4))


def test_arrays_are_released():
    import sys

    x = random((3, 4, 5))
    out = np.empty_like(x)
    before = sys.getrefcount(x), sys.getrefcount(out)
    for _ in range(10):
        hnorm.forward(x, BATCH, out=out)
        with pytest.raises(hnorm.Error):
            hnorm.forward(x, hnorm.groups(3), out=out)
    assert (sys.getrefcount(x), sys.getrefcount(out)) == before
