"""The types of arguments, for the stubs."""
from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias, TypeVar


class Array(Protocol):
    """What has DLPack: arrays of NumPy, PyTorch, CuPy and others."""

    # Properties, because the libraries' methods differ in their arguments.
    @property
    def __dlpack__(self) -> Any: ...

    @property
    def __dlpack_device__(self) -> Any: ...


A = TypeVar("A", bound=Array)
Values: TypeAlias = Array | Sequence[Any]
