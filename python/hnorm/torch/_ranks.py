"""Batch norm over the processes of torch.distributed, with autograd: SyncBatchNorm."""
from weakref import WeakKeyDictionary

import torch
import torch.distributed as dist
from torch.autograd.function import once_differentiable

import hnorm

_forwards = WeakKeyDictionary()  # of each group: how many there were, on all of its processes


def are_several(group):
    return dist.is_available() and dist.is_initialized() and dist.get_world_size(group) > 1


class _Normalization(torch.autograd.Function):
    """Each forward has a layer of hnorm of its own, which remembers what backward needs."""

    @staticmethod
    def forward(ctx, x, weight, bias, layer):
        ctx.save_for_backward(x)
        ctx.version, ctx.layer = x._version, layer
        for values, parameter in ((layer.gamma, weight), (layer.beta, bias)):
            if parameter is not None:
                torch.from_numpy(values).copy_(parameter)
        return layer.forward(x)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        (x,), layer = ctx.saved_tensors, ctx.layer
        if x._version != ctx.version:
            raise RuntimeError("SyncBatchNorm: backward needs the input, which an inplace operation has modified")
        if dy.stride() != x.stride():
            dy = torch.empty_like(x).copy_(dy)
        of_x, *of_parameters = ctx.needs_input_grad[:3]
        layer.zero_grad()
        dx = layer.backward(x, dy, dx=None if of_x else False)
        gradients = [torch.from_numpy(values).clone() if needed else None
                     for needed, values in zip(of_parameters, (layer.gamma_grad, layer.beta_grad))]
        return dx, *gradients, None


def _dense(x):
    """x, or a copy in a layout that hnorm has."""
    last = x.movedim(1, -1) if x.dim() > 2 else x
    return x if x.is_contiguous() or last.is_contiguous() else x.contiguous()


def _unchanged(tensor):
    return tensor


def batch_norm(input, running_mean, running_var, weight, bias, momentum, eps, channels, group):
    """batch_norm in training, with the statistics of all processes. It checks nothing itself: what hnorm refuses on one
    process is an error on all of them."""
    group = group or dist.group.WORLD
    tag = _forwards[group] = _forwards.get(group, 0) + 1
    affine = weight is not None or bias is not None
    layer = hnorm.BatchNorm(channels, eps, momentum, affine, running_mean is not None)
    layer.set_comm(*hnorm.comm.torch_distributed(group), tag, "rank")
    pairs = []
    if running_mean is not None:
        pairs = [(running_mean, torch.from_numpy(layer.running_mean)),
                 (running_var, torch.from_numpy(layer.running_var))]
    for ours, of_layer in pairs:
        of_layer.copy_(ours)
    input = _dense(input)
    # The layer knows x by its memory: other hooks for saved tensors, as those of checkpoints, would
    # bring other memory.
    with torch.autograd.graph.saved_tensors_hooks(_unchanged, _unchanged):
        y = _Normalization.apply(input, weight, bias, layer)
    for ours, of_layer in pairs:
        ours.copy_(of_layer)
    return y
