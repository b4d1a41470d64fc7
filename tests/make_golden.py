"""Makes golden_layers.txt, what PyTorch's normalization layers give over ten training steps and one in evaluation.

Run once, with PyTorch 1.13: python make_golden.py > golden_layers.txt. PyTorch is no dependency of the tests, which
read the file (test_golden.cpp). Everything is computed in double from inputs that are floats.

Each line: layer, affine, momentum, step (0: evaluation after the steps), what, values. PyTorch's instance norm has
no cumulative average (momentum none).
"""

import numpy
import torch

SHAPE = (3, 2, 3, 3)
STEPS = 10


def fill(count, seed):
    """api.h's fill: a fixed sequence in [-1, 1)."""
    values = []
    for _ in range(count):
        seed = (seed * 1664525 + 1013904223) % 2**32
        signed = seed - 2**32 if seed >= 2**31 else seed
        values.append((signed >> 8) / 8388608)
    return numpy.array(values, numpy.float32)


def tensor(seed, offset=0.0):
    values = fill(int(numpy.prod(SHAPE)), seed) + numpy.float32(offset)
    return torch.tensor(values.astype(numpy.float64).reshape(SHAPE))


def run(name, make, affine, momentum):
    layer = make(SHAPE[1], affine=affine, momentum=momentum, track_running_stats=True).double()
    if affine:
        with torch.no_grad():
            layer.weight.copy_(torch.tensor(fill(SHAPE[1], 301).astype(numpy.float64)))
            layer.bias.copy_(torch.tensor(fill(SHAPE[1], 302).astype(numpy.float64)))

    def put(step, what, values):
        numbers = " ".join(f"{value:.10g}" for value in values.detach().numpy().ravel())
        print(name, int(affine), "none" if momentum is None else momentum, step, what, numbers)

    for step in list(range(1, STEPS + 1)) + [0]:
        if step == 0:
            layer.eval()
        x = tensor(100 + step, 0.5).requires_grad_()
        y = layer(x)
        y.backward(tensor(200 + step))  # gradients of gamma and beta add up over the steps
        if step in (0, 1, STEPS):
            put(step, "y", y)
            put(step, "dx", x.grad)
        put(step, "running_mean", layer.running_mean)
        put(step, "running_var", layer.running_var)
        if affine:
            put(step, "gamma_grad", layer.weight.grad)
            put(step, "beta_grad", layer.bias.grad)


for affine in (False, True):
    for momentum in (0.1, 0.8, None):
        run("batch", torch.nn.BatchNorm2d, affine, momentum)
        if momentum is not None:
            run("instance", torch.nn.InstanceNorm2d, affine, momentum)
