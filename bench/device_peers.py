"""PyTorch's kernels and cuDNN, beside hnorm on a device."""
import time

from .peers import EPS, PeerRow


def device_peers(device, note):
    """Those that are installed and compute on the device."""
    if device != "cuda":
        note(f"no other library of hnorm's peers computes on {device}")
        return []
    try:
        import torch

        if not torch.cuda.is_available():
            raise RuntimeError("this PyTorch finds no GPU")
    except (ImportError, RuntimeError) as error:
        note(f"PyTorch and cuDNN are not there: {error}")
        return []
    found = [Torch(torch, cudnn=False)]
    if torch.backends.cudnn.is_available():
        found.append(Torch(torch, cudnn=True))
    for peer in found:
        note(f"peer: {peer.version}")
    return found


class Torch:
    """PyTorch's own kernels, or cuDNN's through it, on hnorm's memory and PyTorch's current stream, the default one, as
    hnorm. Outputs come from PyTorch's allocator, which takes them from a pool."""

    def __init__(self, torch, cudnn):
        torch.set_grad_enabled(False)
        self.torch, self.cudnn = torch, cudnn
        self.name = "cudnn" if cudnn else "pytorch"
        self.version = f"cuDNN {torch.backends.cudnn.version()}" if cudnn else f"PyTorch {torch.__version__}"

    def _tensor(self, address, row):
        class Memory:
            __cuda_array_interface__ = {"shape": (row.elements,), "typestr": "<f4" if row.type == "f32" else "<i2",
                                        "data": (address, False), "version": 2}

        torch = self.torch
        flat = torch.as_tensor(Memory(), device="cuda")
        if row.type != "f32":
            flat = flat.view(torch.float16 if row.type == "f16" else torch.bfloat16)
        if not row.last:
            return flat.view(row.as_batch)
        n, c, *spatial = row.shape
        return flat.view(n, *spatial, c).permute(0, len(row.shape) - 1, *range(1, len(row.shape) - 1))

    def contenders(self, name, memory):
        row, torch = PeerRow(name), self.torch
        if row.op not in ("forward", "normalize", "backward") or not row.direct or self.cudnn and row.op == "normalize":
            return {}
        x, dy = (self._tensor(memory(which), row) for which in ("x", "dy"))
        channels = x.shape[1]
        weight, bias = (torch.full((channels,), value, device="cuda") for value in (1.0, 0.0))
        mean, variance = (torch.full((channels,), value, device="cuda") for value in (0.0, 1.0))
        ops = torch.ops.aten
        try:
            call = self._call(ops, row.op, x, dy, weight, bias, mean, variance)
            call()
            torch.cuda.synchronize()
        except (RuntimeError, NotImplementedError):  # of a type or layout that it does not have
            return {}
        return {self.name: self._timer(call)}

    def _call(self, ops, op, x, dy, weight, bias, mean, variance):
        if op == "normalize":
            return lambda: ops.native_batch_norm(x, weight, bias, mean, variance, False, 0.0, EPS)
        if self.cudnn:
            _, saved_mean, saved, reserve = ops.cudnn_batch_norm(x, weight, bias, mean, variance, True, 0.0, EPS)
            if op == "forward":
                return lambda: ops.cudnn_batch_norm(x, weight, bias, mean, variance, True, 0.0, EPS)
            return lambda: ops.cudnn_batch_norm_backward(x, dy, weight, mean, variance, saved_mean, saved, EPS, reserve)
        _, saved_mean, saved = ops.native_batch_norm(x, weight, bias, None, None, True, 0.0, EPS)
        if op == "forward":
            return lambda: ops.native_batch_norm(x, weight, bias, None, None, True, 0.0, EPS)
        return lambda: ops.native_batch_norm_backward(dy, x, weight, None, None, saved_mean, saved, True, EPS,
                                                      [True, True, True])

    def _timer(self, call):
        def timer(times):
            self.torch.cuda.synchronize()
            start = time.perf_counter()
            for _ in range(times):
                call()
            self.torch.cuda.synchronize()
            return (time.perf_counter() - start) / times

        return timer
