"""The types of arguments, for the stubs."""
from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias, TypeVar


class Array(Protocol):
    """What has DLPack: arrays of NumPy, PyTorch, CuPy and others."""

    def __dlpack__(self, **kwargs: Any) -> Any: ...

    def __dlpack_device__(self) -> tuple[Any, int]: ...


A = TypeVar("A", bound=Array)
Values: TypeAlias = Array | Sequence[Any]
