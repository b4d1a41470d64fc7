"""The steps, the most telling first: the commands of each, and how long they may take."""
import os
import sys
from dataclasses import dataclass, field

from bench.kinds import numpy
from bench.rows import ROOT

# Tests of functions and layers with tensors on the device.
FUNCTIONS = ("device_bits", "device_backward_bits", "device_post_ops", "device_group_norm", "device_layer_forward",
             "device_layer_backward", "device_layer_running_stats", "device_worked_example")
KERNELS, GRAPHS = "test_devices", "example_cuda_graph"
TARGETS = (KERNELS, GRAPHS, "hnorm_device_bench", *FUNCTIONS)  # of the build
FORMATS = ("channels_first/f32", "channels_last/bf16", "channels_first/f16")  # first: each type and layout
MORE_FORMATS = ("channels_last/f32", "channels_first/bf16", "channels_last/f16")
# Of bench --data: what the sums must look at twice, or scale, and what other libraries trip over.
KINDS = "normal_again,probed_outliers,times_1e20,subnormal,one_1e30,zeros,smooth"
TOGETHER = 6  # processes that share the GPU by time slices, and compute what is expected on the CPU


@dataclass(frozen=True)
class Part:
    """A process. must_say: what its output has, besides an exit status of 0, where it went well."""

    command: list
    environment: dict = field(default_factory=dict)
    must_say: str = ""


@dataclass(frozen=True)
class Step:
    name: str
    title: str
    limit: int  # seconds
    parts: dict  # {name: Part}
    together: int = 1
    of_bits: bool = False  # whether it shows that bits are as they must be
    skip: str = ""  # why there is nothing to run
    rows: str = ""  # the file of the bench's rows


def bin_folder():
    return ROOT / os.environ.get("HNORM_BUILD", "build/release") / "bin"


class Plan:
    def __init__(self, device, brief, out):
        self.device, self.brief, self.out, self.bin = device, brief, out, bin_folder()

    def steps(self):
        return [
            self._tests("kernels", "every kernel's bits, in three formats", 170, [KERNELS], FORMATS),
            self._bench("bench_f32", "times, f32", 150, "--peers"),
            self._graphs(),
            self._bench("bench_bf16", "times, bf16", 100, "--peers", "--type", "bf16"),
            self._data(),
            self._candidates(),
            self._tests("kernels_more", "every kernel's bits, in the other formats", 170, [KERNELS], MORE_FORMATS),
            self._tests("functions", "the bits of functions and layers", 300, FUNCTIONS, FORMATS[:2]),
        ]

    def _tests(self, name, title, limit, programs, formats):
        environment = {"HNORM_TEST_DEVICE": self.device, "HNORM_TEST_DEVICE_NEEDED": "1"}
        # Cases without a part of the device are the CPU's tests.
        cases = [] if programs == [KERNELS] else ["~[cpu]~[once]"]
        if self.brief:
            formats, programs = formats[:1], programs[-1:]
            cases = ["*tiny planes*"] if programs == [KERNELS] else cases
        parts = {f"{program} {one}": Part([str(self.bin / program), *cases], environment | {"HNORM_TEST_FORMAT": one},
                                          "All tests passed") for one in formats for program in programs}
        return Step(name, title, limit, parts, min(TOGETHER, os.cpu_count() or 1), of_bits=True)

    def _shapes(self):
        if not self.brief:
            return ["--shapes", "gpu"]
        path = self.out / "brief.txt"
        path.write_text("2x16x8x8\n")
        return ["--shapes", str(path)]

    def _bench(self, name, title, limit, *arguments, skip=""):
        rows = self.out / f"{name}.json"
        command = [sys.executable, "-m", "bench", "--device", self.device, "--quick", *self._shapes(), *arguments,
                   "--json", str(rows)]
        return Step(name, title, limit, {"bench": Part(command)}, skip=skip, rows=rows.name)

    def _data(self):
        kinds = "zeros,probed_outliers" if self.brief else KINDS
        shapes = () if self.brief else ("--shapes", "data")
        step = self._bench("data", "kinds of data, beside normal data", 80, *shapes, "--data", kinds,
                           skip="" if numpy else "this Python has no NumPy")
        if not self.brief:
            step.parts["bench"].command.remove("gpu")
            step.parts["bench"].command.remove("--shapes")
        return step

    def _graphs(self):
        part = Part([str(self.bin / GRAPHS)], must_say="all replays have the CPU's bits")
        return Step("graphs", "CUDA graphs, captured and replayed", 40, {GRAPHS: part}, of_bits=True,
                    skip="" if self.device == "cuda" else f"{self.device} has none")

    def _candidates(self):
        rows = self.out / "candidates.json"
        command = [sys.executable, "-m", "gpu.candidates", self.device, str(rows), *(["--brief"] if self.brief else [])]
        there = (self.bin / f"candidates_{self.device}").exists()
        skip = "" if there else f"none were compiled for {self.device} (./dev gpu --pack FILE --candidates N)"
        return Step("candidates", "other values of the knobs, beside those in use", 90, {"measure": Part(command)},
                    skip=skip, rows=rows.name)


NAMES = ("kernels", "bench_f32", "graphs", "bench_bf16", "data", "candidates", "kernels_more", "functions")
