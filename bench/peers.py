"""Other libraries, on hnorm's memory and with as many threads. Each says what it computes; what it does not is left
out.

Outputs are allocated beforehand but where a library cannot take them: PyTorch's instance norm of channels-last tensors,
and its allocations are then part of its time."""
import ctypes
import math
import os
import subprocess
import time

from .rows import ROOT, Row

EPS = 1e-5


def all_peers(threads, note):
    """Those that are installed."""
    peers = []
    for kind in (PyTorch, OneDnn, OnnxRuntime, Ncnn):
        try:
            peers.append(kind(threads))
            note(f"peer: {peers[-1].version}")
        except (ImportError, OSError, RuntimeError, subprocess.CalledProcessError) as error:
            note(f"peer {kind.__name__} is not there: {error}")
    return peers


class PeerRow(Row):
    def __init__(self, name):
        super().__init__(name)
        # Instance norm of channels-first tensors is batch norm of one sample with N*C channels.
        as_it_is = self.group == "batch" or self.groups
        self.as_batch = self.shape if as_it_is else [1, self.shape[0] * self.shape[1], *self.shape[2:]]
        self.direct = as_it_is or not self.last


def timer_of(call):
    def timer(times):
        start = time.perf_counter()
        for _ in range(times):
            call()
        return (time.perf_counter() - start) / times

    return timer


class PyTorch:
    def __init__(self, threads):
        import torch

        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)
        self.torch, self.version = torch, f"PyTorch {torch.__version__}"

    def _tensor(self, memory, row):
        torch = self.torch
        type_ = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}[row.type]
        data = (ctypes.c_char * row.bytes).from_address(memory)
        flat = torch.frombuffer(data, dtype=type_)
        if not row.last:
            return flat.view(row.as_batch)
        n, c, *spatial = row.shape
        order = [0, len(row.shape) - 1, *range(1, len(row.shape) - 1)]
        return flat.view(n, *spatial, c).permute(order)

    def contenders(self, name, memory):
        torch, row = self.torch, PeerRow(name)
        if row.op not in ("forward", "normalize", "backward"):
            return {}
        x, y, dy = (self._tensor(memory(which), row) for which in ("x", "y", "dy"))
        channels = x.shape[1]
        if row.groups:
            return self._of_groups(row, x, y, dy)
        weight, bias = torch.ones(channels), torch.zeros(channels)
        mean, variance = torch.zeros(channels), torch.ones(channels)
        if not row.direct:
            if row.op == "forward":
                return {"pytorch": timer_of(
                    lambda: torch.instance_norm(x, weight, bias, None, None, True, 0.0, EPS, False))}
            return {}
        empty = torch.empty(0)
        dweight, dbias = torch.empty(channels), torch.empty(channels)
        calls = {
            "forward": lambda: torch.native_batch_norm(x, weight, bias, None, None, True, 0.0, EPS,
                                                       out=(y, mean, variance)),
            "normalize": lambda: torch.native_batch_norm(x, weight, bias, mean, variance, False, 0.0, EPS,
                                                         out=(y, empty, empty)),
            "backward": lambda: torch.ops.aten.native_batch_norm_backward.out(
                dy, x, weight, None, None, mean, variance, True, EPS, [True, True, True], out0=y, out1=dweight,
                out2=dbias),
        }
        return _working({"pytorch": timer_of(calls[row.op])})


    def _of_groups(self, row, x, y, dy):
        """Group norm, which takes no statistics: normalize is left out."""
        torch, (n, channels), positions = self.torch, row.shape[:2], math.prod(row.shape[2:])
        weight, bias, wanted = torch.ones(channels), torch.zeros(channels), [True, True, True]
        mean, rstd = torch.zeros(n, row.groups), torch.ones(n, row.groups)
        dweight, dbias = torch.empty(channels), torch.empty(channels)
        forward = torch.ops.aten.native_group_norm.out
        backward = torch.ops.aten.native_group_norm_backward.out
        calls = {
            "forward": lambda: forward(x, weight, bias, n, channels, positions, row.groups, EPS, out0=y, out1=mean,
                                       out2=rstd),
            "backward": lambda: backward(dy, x, mean, rstd, weight, n, channels, positions, row.groups, wanted, out0=y,
                                         out1=dweight, out2=dbias),
        }
        return _working({"pytorch": timer_of(calls[row.op])}) if row.op in calls else {}


class OneDnn:
    def __init__(self, threads):
        os.environ.setdefault("OMP_NUM_THREADS", str(threads))
        folder, environment = ROOT / "out/bench", ROOT / ".venv-peers"
        folder.mkdir(parents=True, exist_ok=True)
        library = folder / "libonednn_peer.so"
        source = ROOT / "bench/peers/onednn.cpp"
        if not (environment / "include/dnnl.hpp").exists():
            raise OSError(f"no dnnl.hpp in {environment}")
        if not library.exists() or library.stat().st_mtime < source.stat().st_mtime:
            subprocess.run(["c++", "-std=c++17", "-O2", "-shared", "-fPIC", "-I", environment / "include", source, "-o",
                            library, "-L", environment / "lib", "-ldnnl", f"-Wl,-rpath,{environment}/lib"], check=True)
        self.library = ctypes.CDLL(str(library))
        self.library.onednn_time.restype = ctypes.c_double
        self.library.onednn_error.restype = self.library.onednn_version.restype = ctypes.c_char_p
        self.library.onednn_open.argtypes = [ctypes.c_char_p] * 3 + [ctypes.c_int, ctypes.POINTER(ctypes.c_int64)] + \
            [ctypes.c_void_p] * 3
        self.version = f"oneDNN {self.library.onednn_version().decode()}"
        self.block = "by_16" if " avx512f " in open("/proc/cpuinfo").read() else "by_8"

    def contenders(self, name, memory):
        self.library.onednn_close()
        row = PeerRow(name)
        # Version 3.2, the latest on PyPI with these headers, has no group normalization.
        if row.op not in ("forward", "normalize", "backward") or not row.direct or row.groups:
            return {}
        found = {"onednn": self._open(row, "last" if row.last else "first", memory)}
        if not row.last and row.group == "batch" and len(row.shape) > 2:
            found["onednn_preferred"] = self._open(row, self.block, memory)
        return {variant: timer for variant, timer in found.items() if timer}

    def _open(self, row, layout, memory):
        shape = (ctypes.c_int64 * len(row.as_batch))(*row.as_batch)
        number = self.library.onednn_open(row.op.encode(), layout.encode(), row.type.encode(), len(row.as_batch), shape,
                                          memory("x"), memory("y"), memory("dy"))
        return None if number < 0 else lambda times: self.library.onednn_time(number, times)


class OnnxRuntime:
    def __init__(self, threads):
        import numpy
        import onnx
        import onnxruntime

        self.numpy, self.onnx, self.runtime, self.threads = numpy, onnx, onnxruntime, threads
        self.version = f"ONNX Runtime {onnxruntime.__version__}"

    def contenders(self, name, memory):
        row = PeerRow(name)
        if row.type != "f32" or row.last or len(row.shape) < 3:
            return {}
        if (row.op, row.group) not in (("forward", "instance"), ("normalize", "batch"), ("forward", "batch")):
            return {}
        try:
            return {"onnxruntime": self._timer(row, memory)}
        except Exception:  # it has a type of its own for each; what it does not compute is left out
            return {}

    def _timer(self, row, memory):
        helper, numpy = self.onnx.helper, self.numpy
        channels = row.shape[1]
        constants = {"scale": numpy.ones(channels, "f"), "bias": numpy.zeros(channels, "f"),
                     "mean": numpy.zeros(channels, "f"), "variance": numpy.ones(channels, "f")}
        outputs = ["y"]
        if row.group == "instance":
            node = helper.make_node("InstanceNormalization", ["x", "scale", "bias"], outputs, epsilon=EPS)
        elif row.op == "normalize":
            node = helper.make_node("BatchNormalization", ["x", *constants], outputs, epsilon=EPS)
        else:
            outputs = ["y", "new_mean", "new_variance"]
            node = helper.make_node("BatchNormalization", ["x", *constants], outputs, epsilon=EPS, training_mode=1)
        real = self.onnx.TensorProto.FLOAT
        infos = [helper.make_tensor_value_info(n, real, row.shape if n == "y" else [channels]) for n in outputs]
        graph = helper.make_graph(
            [node], "norm", [helper.make_tensor_value_info("x", real, row.shape)], infos,
            [self.onnx.numpy_helper.from_array(v, n) for n, v in constants.items() if n in node.input])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
        options = self.runtime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self.threads, 1
        # Its threads would spin on after a call, in the others' time.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        session = self.runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        binding = session.io_binding()
        binding.bind_input("x", "cpu", 0, numpy.float32, row.shape, memory("x"))
        binding.bind_output("y", "cpu", 0, numpy.float32, row.shape, memory("y"))
        for other in outputs[1:]:
            binding.bind_output(other)
        call = lambda: session.run_with_iobinding(binding)  # noqa: E731
        call()
        return timer_of(call)


class Ncnn:
    """In place, and one sample at a time: rows of one sample only."""

    def __init__(self, threads):
        import ncnn
        import numpy

        self.ncnn, self.numpy, self.threads = ncnn, numpy, threads
        self.version = f"ncnn {ncnn.__version__}"

    def contenders(self, name, memory):
        row, ncnn = PeerRow(name), self.ncnn
        kinds = {("forward", "instance"): "InstanceNorm", ("normalize", "batch"): "BatchNorm",
                 ("normalize", "instance"): "BatchNorm"}
        kind = kinds.get((row.op, row.group))
        if kind is None or row.type != "f32" or row.last or row.shape[0] != 1 or len(row.shape) != 4:
            return {}
        layer, parameters = ncnn.create_layer(kind), ncnn.ParamDict()
        parameters.set(0, row.shape[1])
        parameters.set(1, EPS)
        if kind == "InstanceNorm":
            parameters.set(2, 0)  # without gamma and beta: their reader takes no arrays from Python
        layer.load_param(parameters)
        reader = ncnn.DataReaderFromEmpty()  # its binding does not keep it alive
        weights = ncnn.ModelBinFromDataReader(reader)
        layer.load_model(weights)
        options = ncnn.Option()
        options.num_threads = self.threads
        layer.create_pipeline(options)
        data = (ctypes.c_float * row.elements).from_address(memory("x"))
        values = self.numpy.frombuffer(data, dtype="f").reshape(row.shape[1:])
        mat = ncnn.Mat(values).clone()
        if layer.forward_inplace(mat, options):
            return {}
        self.layer = layer
        return {"ncnn": timer_of(lambda: layer.forward_inplace(mat, options))}


def _working(timers):
    found = {}
    for name, timer in timers.items():
        try:
            timer(1)
            found[name] = timer
        except RuntimeError:  # of a type or layout that it does not have
            pass
    return found
