"""The normalization modules of torch.nn over the kernels of hnorm.

They are subclasses of PyTorch's, with the same arguments, parameters, buffers and state_dict. convert(model) replaces
those of a model.

    import hnorm.torch
    model = hnorm.torch.convert(torchvision.models.resnet18())
"""
import sys
from typing import Any, TypeVar

import torch
from torch.nn.modules import batchnorm, instancenorm

from . import _ranks, functional

__all__ = [
    "BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "GroupNorm", "InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d",
    "SyncBatchNorm", "convert", "convert_sync_batchnorm", "functional",
]


class _BatchNorm(batchnorm._BatchNorm):
    def _count(self) -> float:
        """Counts a batch, and returns the weight of its statistics in the running ones."""
        momentum = 0.0 if self.momentum is None else self.momentum
        if self.training and self.track_running_stats and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:
                momentum = 1.0 / float(self.num_batches_tracked)
        return momentum

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        self._check_input_dim(input)
        momentum = self._count()
        of_batch = self.training or (self.running_mean is None and self.running_var is None)
        tracked = not self.training or self.track_running_stats
        return functional.batch_norm(
            input, self.running_mean if tracked else None, self.running_var if tracked else None, self.weight,
            self.bias, of_batch, momentum, self.eps)


class SyncBatchNorm(_BatchNorm):
    """torch.nn.SyncBatchNorm on the CPU: the statistics are those of the samples of all processes.

    The gradient of the input is that of the sum of all processes' losses. The gradients of weight and bias are those
    of the process's own samples: DistributedDataParallel averages them. A process may have no samples.
    """

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True,
                 track_running_stats: bool = True, process_group: Any = None, device: Any = None, dtype: Any = None,
                 **options: Any) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device=device, dtype=dtype,
                         **options)
        self.process_group = process_group

    def _check_input_dim(self, input: torch.Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected at least 2D input (got {input.dim()}D input)")

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        if not self.training or not _ranks.are_several(self.process_group):
            return super().forward(input)
        tracked = self.track_running_stats
        return _ranks.batch_norm(
            input, self.running_mean if tracked else None, self.running_var if tracked else None, self.weight,
            self.bias, self._count(), self.eps, self.num_features, self.process_group)


class _InstanceNorm(instancenorm._InstanceNorm):
    # What PyTorch's forward calls, after it has checked the shape and given a tensor of one sample
    # its axis N.
    def _apply_instance_norm(self, input: torch.Tensor) -> torch.Tensor:
        return functional.instance_norm(
            input, self.running_mean, self.running_var, self.weight, self.bias,
            self.training or not self.track_running_stats, 0.0 if self.momentum is None else self.momentum, self.eps)


class BatchNorm1d(_BatchNorm, torch.nn.BatchNorm1d):
    """torch.nn.BatchNorm1d."""


class BatchNorm2d(_BatchNorm, torch.nn.BatchNorm2d):
    """torch.nn.BatchNorm2d."""


class BatchNorm3d(_BatchNorm, torch.nn.BatchNorm3d):
    """torch.nn.BatchNorm3d."""


class InstanceNorm1d(_InstanceNorm, torch.nn.InstanceNorm1d):
    """torch.nn.InstanceNorm1d."""


class InstanceNorm2d(_InstanceNorm, torch.nn.InstanceNorm2d):
    """torch.nn.InstanceNorm2d."""


class InstanceNorm3d(_InstanceNorm, torch.nn.InstanceNorm3d):
    """torch.nn.InstanceNorm3d."""


class GroupNorm(torch.nn.GroupNorm):
    """torch.nn.GroupNorm, for tensors of rank 2 to 5 on the CPU."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return functional.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)


_CLASSES = [BatchNorm1d, BatchNorm2d, BatchNorm3d, InstanceNorm1d, InstanceNorm2d, InstanceNorm3d, GroupNorm]
_OF_PYTORCH = {getattr(torch.nn, its.__name__): its for its in _CLASSES}
_SYNCED = {getattr(library, f"BatchNorm{rank}d") for library in (torch.nn, sys.modules[__name__]) for rank in (1, 2, 3)}
_SYNCED |= {torch.nn.SyncBatchNorm, SyncBatchNorm}
_Module = TypeVar("_Module", bound=torch.nn.Module)


def convert(module: _Module) -> _Module:
    """Makes the normalization modules of a model those of hnorm, in place, and returns the model, which may be one.

    Only the class of a module changes: its parameters, buffers, hooks, options and mode stay what they are, and the
    state_dict keeps its names. Subclasses of PyTorch's modules are left alone: they may compute something else.
    """
    for each in module.modules():
        each.__class__ = _OF_PYTORCH.get(type(each), type(each))
    return module


def convert_sync_batchnorm(module: _Module, process_group: Any = None) -> _Module:
    """Makes the batch norms of a model SyncBatchNorm, in place as convert does, and returns the model."""
    for each in module.modules():
        if type(each) in _SYNCED:
            each.__class__ = SyncBatchNorm
            each.process_group = process_group
    return module
