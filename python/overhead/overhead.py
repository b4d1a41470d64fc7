"""What a call from Python costs beside the same call in C++, and one of hnorm.torch beside PyTorch's: microseconds for
an array of shape (2, 3, 4, 4) on one thread, the least of many rounds. Needs a compiler; PyTorch may be absent."""
import subprocess
import tempfile
import time
from pathlib import Path

import hnorm
import numpy as np

BATCH = hnorm.Group.batch


def in_cpp():
    package, source = Path(hnorm.__file__).parent, Path(__file__).with_name("call.cpp")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["c++", "-O2", "-std=c++17", f"-I{package / 'include'}", source, "-o", f"{folder}/call",
                        package / "lib/libhnorm.a", "-ldl", "-pthread"], check=True)
        return float(subprocess.run([f"{folder}/call"], check=True, capture_output=True, text=True).stdout)


def least(*calls):
    """The least mean of a round for each of the calls, whose rounds take turns."""
    times = [float("inf")] * len(calls)
    for _ in range(200):
        for i, call in enumerate(calls):
            start = time.perf_counter()
            for _ in range(100):
                call()
            times[i] = min(times[i], (time.perf_counter() - start) * 1e4)
    return times


def numpy_calls():
    x = np.float32(np.arange(96) % 7).reshape(2, 3, 4, 4)
    gamma, beta, out = np.ones(3, np.float32), np.zeros(3, np.float32), x.copy()
    mean, variance = np.empty(3), np.empty(3)
    cpp = in_cpp()
    all_given, new = least(lambda: hnorm.forward(x, BATCH, gamma, beta, out=out, mean=mean, variance=variance),
                           lambda: hnorm.forward(x, BATCH, gamma, beta))
    print(f"forward in C++                            {cpp:6.2f}")
    print(f"  NumPy, six arrays given                 {all_given:6.2f}   {all_given - cpp:+.2f}")
    print(f"  NumPy, a new array for y                {new:6.2f}   {new - cpp:+.2f}")


def torch_calls(torch, ours):
    torch.set_num_threads(1)
    theirs = torch.nn.functional
    x, dy = torch.randn(2, 3, 4, 4, requires_grad=True), torch.randn(2, 3, 4, 4)
    parameters = [torch.ones(3, requires_grad=True), torch.zeros(3, requires_grad=True)]
    running = [torch.zeros(3), torch.ones(3)]
    for training in (True, False):
        def forward(library, training=training):
            return library.batch_norm(x, *running, *parameters, training)

        graphs = [forward(library) for library in (theirs, ours)]
        kinds = {
            "forward": [lambda library=library: forward(library) for library in (theirs, ours)],
            "backward": [lambda y=y: y.backward(dy, retain_graph=True) for y in graphs],
            "both": [lambda library=library: forward(library).backward(dy) for library in (theirs, ours)],
        }
        for kind, calls in kinds.items():
            a, b = least(*calls)
            mode = "training" if training else "evaluation"
            print(f"{mode:10} {kind:9} PyTorch {a:6.2f}, hnorm.torch {b:6.2f}   {b - a:+.2f}")


hnorm.set_num_threads(1)
numpy_calls()
try:
    import hnorm.torch
    import torch
except ImportError:
    print("PyTorch is not there")
else:
    torch_calls(torch, hnorm.torch.functional)
