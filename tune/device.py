"""Kernels of devices: a runner whose calls run on CUDA or OpenCL (runner/on_device.cpp), with a table of device
kernels a row."""
import shutil
import sys
import tempfile

from .build import Builder
from .process import run
from .space import ROOT, Slot


def builder_of(schedule, *arguments, **options):
    return (DeviceBuilder if schedule.device else Builder)(schedule, *arguments, **options)


class DeviceBuilder(Builder):
    def __init__(self, schedule, *arguments, **options):
        super().__init__(schedule, *arguments, **options)
        self.includes += [ROOT / "tune/runner"]
        self.runner_options = ["-D", "HNORM_ON_DEVICE=ON"]
        self.ptxas = shutil.which("ptxas") or shutil.which("ptxas", path="/usr/local/cuda/bin")
        # In every row alike.
        self.group_points = {Slot(name, "", ""): {} for name in self.manifest.group_kernels}

    def symbol(self, slot, point):
        if self.library_objects and slot in self.group_points:
            return f"hnorm_kernel_{slot.kernel}_{self.schedule.target}"
        return super().symbol(slot, point)

    def _check(self, object_):
        """CUDA's are held to what a test holds the library's to: a point whose registers spill, where there is
        ptxas, is none."""
        if self.schedule.device == "cuda":
            with tempfile.NamedTemporaryFile("w") as objects:
                objects.write(str(object_))
                objects.flush()
                run([sys.executable, ROOT / "tests/ptx.py", self.ptxas or "", objects.name])

    def library(self):
        super().library()
        for failure in self.compile(self.group_points.items()).values():
            raise failure

    def _entry(self, slot):
        return super()._entry(slot) if slot.planes else self.manifest.group_kernels[slot.kernel]

    def _of_slot(self, slot):
        return super()._of_slot(slot) if slot.planes else {}

    def _runtime(self):
        return "halide_runtime_devices", ["cuda", "opencl"]

    prefix = "device_"

    def _table_of(self, rows):
        return {"rows": "none", "device_rows": rows, "devices_namespace": "hnorm::tune", "devices": "device_rows"}

    def _write_table(self, source, symbols, dispatch, prelude):
        device = f"HNORM_{self.schedule.device.upper()}"
        prelude = f'#include "on_device.h"\n{prelude}\nconst hnorm_device hnorm::tune::device = {device};'
        super()._write_table(source, symbols, dispatch, prelude)
