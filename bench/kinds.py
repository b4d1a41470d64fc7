"""Kinds of data: what tensors may hold that could make a kernel slow. Each is a function of a Tensor, which draws."""
import math

from .rows import Row

try:
    import numpy
except ImportError:  # other rows do without it, as on a GPU machine that has Python alone
    numpy = None

PROBED = 48  # rows of a group, at most
WAVES = 4  # cosines that make a smooth picture
OBJECT = 0.1  # of a picture's area


class Tensor:
    """A row's tensor, and random numbers for it. Batch norm sees planes of one position as one plane."""

    def __init__(self, row, seed):
        self.row, self.random = Row(row), numpy.random.default_rng(seed)
        n, c, *spatial = self.row.shape
        s = math.prod(spatial)
        self.shape, self.width = (n, c, s), spatial[-1] if spatial else 1
        # Of a group.
        self.planes, self.positions = (1, s) if self.row.group == "instance" else (n, s) if s > 1 else (1, n)

    def full(self, value):
        return numpy.full(self.shape, value, "f")

    def normal(self):
        return self.random.standard_normal(self.shape, "f")

    def groups(self, x):
        """x by group, plane and position; a view, to write through."""
        if self.row.group == "batch":
            x = x.transpose(1, 0, 2) if self.planes > 1 or self.shape[0] == 1 else x.transpose(1, 2, 0)
        return x.reshape(-1, self.planes, self.positions)


def probed(tensor):
    """The places of the probe that gives a group its center (docs/order.md, "The probe"), as two arrays: planes, and
    positions in them."""
    width = 1 if tensor.row.last or tensor.positions < 16 or tensor.shape[2] == 1 else 4
    of_plane = tensor.positions // width
    total = tensor.planes * of_plane
    count = -(-PROBED * total // (total + PROBED))
    i = numpy.arange(count, dtype=numpy.uint64)
    u = i * 2654435769 & 0xFFFFFFFF
    h = ((u ^ u >> 15) * 2246822519 & 0xFFFFFFFF) >> 16
    planes, rows = numpy.divmod((i * total + h * total // 65536) // count, of_plane)
    positions = rows[:, None] * width + numpy.arange(width)
    return numpy.repeat(planes, width).astype(int), positions.reshape(-1).astype(int)


def _zero_channels(tensor):
    x = tensor.normal()
    x[:, 1::2] = 0
    return x


def _ramp(tensor):
    """From 0 to 1 through each group, in the order of its planes and positions."""
    x = tensor.full(0)
    ramp = numpy.linspace(0, 1, tensor.planes * tensor.positions, dtype="f")
    tensor.groups(x)[:] = ramp.reshape(tensor.planes, tensor.positions)
    return x


def _one_huge(tensor):
    x = tensor.normal()
    groups = tensor.groups(x)
    at = tensor.random.integers(tensor.planes * tensor.positions, size=len(groups))
    planes, positions = numpy.divmod(at, tensor.positions)
    groups[numpy.arange(len(groups)), planes, positions] = 1e30
    return x


def _probed_outliers(tensor):
    x = tensor.normal()
    planes, positions = probed(tensor)
    tensor.groups(x)[:, planes, positions] = 1e4
    return x


def _smooth(tensor):
    n, c, s = tensor.shape
    y, x = numpy.ogrid[:s // tensor.width, :tensor.width]
    total = numpy.zeros((n, c, s // tensor.width, tensor.width), "f")
    for _ in range(WAVES):  # of up to two periods a plane, in any direction
        rise, run, phase = (tensor.random.uniform(-2, 2, (n, c, 1, 1)).astype("f") for _ in range(3))
        amplitude = tensor.random.standard_normal((n, c, 1, 1), "f")
        total += amplitude * numpy.cos(numpy.float32(2 * numpy.pi) * (rise * (y / len(y)).astype("f") +
                                                                     run * (x / tensor.width).astype("f") + phase))
    return total.reshape(tensor.shape)


def _bright_object(tensor):
    """A square, bright, somewhere in each plane, on a dark ground; noise over both."""
    n, c, s = tensor.shape
    inside = numpy.ones((n, c, s), bool)
    for extent, at in ((s // tensor.width, numpy.arange(s) // tensor.width),
                       (tensor.width, numpy.arange(s) % tensor.width)):
        size = max(1, round(extent * math.sqrt(OBJECT)))
        start = tensor.random.integers(extent - size + 1, size=(n, c, 1))
        inside &= (at >= start) & (at < start + size)
    return inside + numpy.float32(0.05) * tensor.normal()


def _unequal_samples(tensor):
    offsets = tensor.random.standard_normal((tensor.shape[0], 1, 1), "f")
    return offsets + numpy.float32(0.1) * tensor.normal()


def _at_random(tensor, share, values, others):
    return numpy.where(tensor.random.random(tensor.shape, "f") < share, values, others).astype("f")


KINDS = {
    "normal": Tensor.normal,
    "normal_again": Tensor.normal,  # what the machine's noise alone does
    "zeros": lambda tensor: tensor.full(0),
    "zero_channels": _zero_channels,
    "sparse": lambda tensor: _at_random(tensor, 0.01, tensor.normal(), 0),
    "step": lambda tensor: numpy.round(_ramp(tensor)),
    "ramp": _ramp,
    "times_1e-20": lambda tensor: tensor.normal() * numpy.float32(1e-20),
    "subnormal": lambda tensor: tensor.normal() * numpy.float32(1e-40),
    "constant": lambda tensor: tensor.full(1.1),
    "times_1e20": lambda tensor: tensor.normal() * numpy.float32(1e20),
    "one_1e30": _one_huge,
    "outliers": lambda tensor: _at_random(tensor, 1e-3, 1e4, tensor.normal()),
    "probed_outliers": _probed_outliers,
    "smooth": _smooth,
    "bright_object": _bright_object,
    "unequal_samples": _unequal_samples,
    "relu": lambda tensor: numpy.maximum(tensor.normal(), 0),
}
# Of backward besides, dy alone: x is normal.
GRADIENTS = {"dy_zeros": KINDS["zeros"], "dy_constant": KINDS["constant"]}
REFERENCE = "normal"


def has(kind, tensor):
    """Whether the kind is one by itself there: a plane of one position is no picture, and where all of a group is
    probed the outliers are all there is."""
    if kind in ("smooth", "bright_object"):
        return tensor.shape[2] > 1
    if kind == "probed_outliers":
        return len(probed(tensor)[0]) < tensor.planes * tensor.positions
    return kind not in GRADIENTS or tensor.row.op.startswith("backward")
