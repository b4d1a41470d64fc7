"""batch_norm, instance_norm and group_norm of torch.nn.functional over the kernels of hnorm, with autograd.

Tensors are float32, float16 or bfloat16 on the CPU or on CUDA. Others raise hnorm.Error: there is no kernel for them.
"""
import torch
from torch.autograd.function import once_differentiable

import hnorm
from hnorm import _core

__all__ = ["batch_norm", "group_norm", "instance_norm"]

_BATCH, _INSTANCE = hnorm.Group.batch, hnorm.Group.instance


class _Normalization(torch.autograd.Function):
    """Normalizes x with its own statistics or with running ones.

    `rest` is (group, eps, whether the running statistics are used, running_mean, running_var, momentum). Beside small
    tensors, each line of Python and each argument counts: _core does all that it can.
    """

    @staticmethod
    def forward(ctx, x, weight, bias, rest):
        ctx.save_for_backward(x, weight)
        y, ctx.statistics = _core.torch_forward(x, weight, bias, rest)
        return y

    @staticmethod
    def backward(ctx, dy):
        # With gradients enabled, the result may be differentiated again. To refuse that takes
        # microseconds to prepare.
        return _gradients_once(ctx, dy) if torch.is_grad_enabled() else _gradients(ctx, dy)


def _gradients(ctx, dy):
    return _core.torch_backward(*ctx.saved_tensors, dy, ctx.statistics, ctx.needs_input_grad)


_gradients_once = once_differentiable(_gradients)
_normalize = _Normalization.apply


def batch_norm(input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """torch.nn.functional.batch_norm."""
    if input.numel() == 0:
        return torch.nn.functional.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    return _normalize(input, weight, bias, (_BATCH, eps, not training, running_mean, running_var, momentum))


def instance_norm(input, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True,
                  momentum=0.1, eps=1e-5):
    """torch.nn.functional.instance_norm."""
    if input.numel() == 0:
        return torch.nn.functional.instance_norm(input, running_mean, running_var, weight, bias, use_input_stats,
                                                 momentum, eps)
    group = _INSTANCE if use_input_stats else _BATCH
    return _normalize(input, weight, bias, (group, eps, not use_input_stats, running_mean, running_var, momentum))


def group_norm(input, num_groups, weight=None, bias=None, eps=1e-5):
    """torch.nn.functional.group_norm."""
    if input.numel() == 0:
        return torch.nn.functional.group_norm(input, num_groups, weight, bias, eps)
    return _normalize(input, weight, bias, (hnorm.groups(num_groups), eps, False, None, None, 0.0))
