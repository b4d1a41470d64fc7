"""batch_norm, instance_norm and group_norm of torch.nn.functional over the kernels of hnorm, with autograd.

Tensors are float32, float16 or bfloat16 on the CPU or on CUDA. Others raise hnorm.Error: there is no kernel for them.
"""
import numpy
import torch
from torch.autograd.function import once_differentiable

import hnorm
from hnorm import _core

__all__ = ["batch_norm", "group_norm", "instance_norm"]

_BATCH, _INSTANCE = hnorm.Group.batch, hnorm.Group.instance
_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}


class _Normalization(torch.autograd.Function):
    """Normalizes x, with its own statistics, which mean and variance receive, or with those that they hold.

    `rest` is (group, eps, mean, variance, whether they are given): each argument takes time.
    """

    @staticmethod
    def forward(ctx, x, weight, bias, rest):
        ctx.save_for_backward(x, weight, bias)
        ctx.rest = group, eps, mean, variance, given = rest
        if given:
            return hnorm.normalize(x, group, mean, variance, weight, bias, eps)
        return hnorm.forward(x, group, weight, bias, eps, mean=mean, variance=variance)

    @staticmethod
    def backward(ctx, dy):
        # With gradients enabled, the result may be differentiated again. To refuse that takes microseconds to prepare.
        gradients = _gradients_once(ctx, dy) if torch.is_grad_enabled() else _gradients(ctx, dy)
        return *gradients, None


def _gradients(ctx, dy):
    x, weight, bias = ctx.saved_tensors
    group, eps, mean, variance, given = ctx.rest
    if dy.stride() != x.stride():
        dy = torch.empty_like(x).copy_(dy)
    dx, dweight, dbias, *_ = [None if needed else False for needed in ctx.needs_input_grad]
    function = hnorm.normalize_backward if given else hnorm.backward
    return function(x, dy, group, mean, variance, weight, bias, eps, dx=dx, dgamma=dweight, dbeta=dbias)


_gradients_once = once_differentiable(_gradients)


def _dense(x):
    """x, or a copy in a layout that hnorm has."""
    if x.is_contiguous() or (x.dim() in _LAST and x.is_contiguous(memory_format=_LAST[x.dim()])):
        return x
    if x.dim() == 3 and x.transpose(1, 2).is_contiguous():
        return x
    return x.contiguous()


def _float(parameter):
    """gamma and beta are float: those of a model of half() are converted."""
    return parameter if parameter is None or parameter.dtype == torch.float32 else parameter.float()


def _normalize(x, group, groups, weight, bias, eps):
    """y, mean and variance, with one value a group: `groups` is their shape."""
    if x.is_cuda:
        mean, variance = torch.empty((2, *groups), dtype=torch.float64, device=x.device)
    else:
        mean, variance = numpy.empty(groups), numpy.empty(groups)  # as torch.empty, in a tenth of the time
    y = _Normalization.apply(_dense(x), _float(weight), _float(bias), (group, eps, mean, variance, False))
    return y, mean, variance


def _normalize_given(x, running_mean, running_var, weight, bias, eps):
    given = _BATCH, eps, running_mean.double(), running_var.double(), True
    return _Normalization.apply(_dense(x), _float(weight), _float(bias), given)


def _track(running, values, momentum, factor=1.0):
    """running = (1 - momentum) * running + momentum * factor * the average of `values` over the samples."""
    if running is None:
        return
    if running.dtype == torch.float32 and not running.is_cuda:
        _core.track(running, values, momentum, factor)
    else:
        values = torch.as_tensor(values)
        running.mul_(1 - momentum).add_(values.view(-1, len(running)).mean(0), alpha=momentum * factor)


def batch_norm(input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """torch.nn.functional.batch_norm."""
    if input.numel() == 0:
        return torch.nn.functional.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    if not training:
        return _normalize_given(input, running_mean, running_var, weight, bias, eps)
    channels = input.shape[1]
    y, mean, variance = _normalize(input, _BATCH, (channels,), weight, bias, eps)
    count = input.numel() // channels
    _track(running_mean, mean, momentum)
    _track(running_var, variance, momentum, count / (count - 1))
    return y


def instance_norm(input, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True,
                  momentum=0.1, eps=1e-5):
    """torch.nn.functional.instance_norm."""
    if input.numel() == 0:
        return torch.nn.functional.instance_norm(input, running_mean, running_var, weight, bias, use_input_stats,
                                                 momentum, eps)
    if not use_input_stats:
        return _normalize_given(input, running_mean, running_var, weight, bias, eps)
    groups = input.shape[:2]
    y, mean, variance = _normalize(input, _INSTANCE, groups, weight, bias, eps)
    count = input.numel() // (groups[0] * groups[1])
    _track(running_mean, mean, momentum)
    _track(running_var, variance, momentum, count / (count - 1))
    return y


def group_norm(input, num_groups, weight=None, bias=None, eps=1e-5):
    """torch.nn.functional.group_norm."""
    if input.numel() == 0:
        return torch.nn.functional.group_norm(input, num_groups, weight, bias, eps)
    return _normalize(input, hnorm.groups(num_groups), (input.shape[0], num_groups), weight, bias, eps)[0]
