"""hnorm: batch, instance and group normalization, with the same bits on every CPU and with any number of threads.

Functions and layers have the names of the C++ interface. They take NumPy arrays, PyTorch tensors and all that has
DLPack, without copies. The shape is (N, C, spatial...) in every layout: strides tell channels-first from channels-last,
as in the memory formats of PyTorch. A call that is refused raises hnorm.Error, a ValueError.
"""
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from . import _core, comm
from ._core import (
    BatchNorm,
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    Context,
    Error,
    Group,
    GroupNorm,
    InstanceNorm,
    InstanceNorm1d,
    InstanceNorm2d,
    InstanceNorm3d,
    activation_backward,
    backward,
    batch_normalization,
    forget_wisdom,
    forward,
    groups,
    load_wisdom,
    normalize,
    normalize_backward,
    num_threads,
    set_num_threads,
    set_target,
    shutdown,
    target,
    wisdom_notes,
)
from ._types import A, Array, Values

__all__ = [
    "BackwardSums", "BatchNorm", "BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "Context", "Error", "Group", "GroupNorm",
    "InstanceNorm", "InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d", "Moments", "Target", "activation_backward",
    "backward", "backward_apply", "backward_reduce", "batch_normalization", "comm", "forget_wisdom", "forward",
    "groups", "load_wisdom", "moments", "normalize", "normalize_backward", "num_threads", "set_num_threads",
    "set_target", "shutdown", "target", "targets", "use_context", "wisdom_notes",
]
__version__ = _core.version()
Error.__module__ = "hnorm"


@dataclass
class Moments:
    """The number of elements, the mean and M2 = sum((x - mean)^2) of each group: float64, (C), (N, C) or (N, G)."""

    count: Any
    mean: Any
    m2: Any

    @property
    def variance(self) -> Any:
        """The biased variance, m2 / count."""
        return self.m2 / self.count

    def merge(self, other: "Moments") -> None:
        """Merges the moments of other samples into these, group by group (Chan, Golub, LeVeque 1983).

            delta = other.mean - mean,  total = count + other.count
            mean += delta * other.count / total
            m2   += other.m2 + delta^2 * count * other.count / total
        """
        _core.merge_moments(self.count, self.mean, self.m2, other.count, other.mean, other.m2)


def moments(x: Array, group: Group) -> Moments:
    """Computes the moments of each group. x must lie on the CPU.

        mean = sum(x) / count
        m2   = sum((x - mean)^2)

    Raises Error if an argument is not valid.
    """
    return Moments(*_core.moments(x, group))


@dataclass
class BackwardSums:
    """The two sums over each group that backward needs. The sums of several machines can be added."""

    dy: Any
    dy_xmu: Any


def backward_reduce(x: Array, dy: Array, group: Group, mean: Values) -> BackwardSums:
    """Computes the sums that backward needs. x must lie on the CPU.

        sums.dy     = sum(dy)
        sums.dy_xmu = sum(dy * (x - mean))

    group is Group.batch or Group.instance. The gradients of gamma and beta follow: dbeta = sums.dy, and
    dgamma = sums.dy_xmu / sqrt(variance + eps). Raises Error if an argument is not valid.
    """
    return BackwardSums(*_core.backward_reduce(x, dy, group, mean))


def backward_apply(x: A, dy: A, group: Group, count: Values, mean: Values, variance: Values, sums: BackwardSums,
                   gamma: Values | None = None, eps: float = 1e-5, *, dx: A | None = None) -> A:
    """Computes the gradient with respect to x from given sums, and returns dx.

        invstd = 1 / sqrt(variance + eps)
        dx = gamma * invstd * (dy - sums.dy / count - (x - mean) * invstd^2 * sums.dy_xmu / count)

    count is the number of elements of each whole group, on all machines. dx may be dy or x. Raises Error if an argument
    is not valid.
    """
    return _core.backward_apply(x, dy, group, count, mean, variance, sums.dy, sums.dy_xmu, gamma, eps, dx)


class Target(NamedTuple):
    """A set of CPU instructions that hnorm has kernels for."""

    name: str
    unusable: str
    """Why the target cannot run on this machine; "" if it can."""


def targets() -> list[Target]:
    """The targets of this library, best first."""
    return [Target(*fields) for fields in _core.targets()]


_used = threading.local()


@contextmanager
def use_context(context: Context) -> Iterator[Context]:
    """The calls of this thread use the settings of a context, to the end of the block.

        with hnorm.use_context(hnorm.Context(num_threads=2)):
            y = hnorm.forward(x, hnorm.Group.batch)
    """
    before = getattr(_used, "context", None)
    _core.use_context(context)
    _used.context = context  # keeps it
    try:
        yield context
    finally:
        _core.use_context(before)
        _used.context = before
