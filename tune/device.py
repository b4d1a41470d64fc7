"""Kernels of devices: a runner whose calls run on CUDA or OpenCL (runner/on_device.cpp), with a table of device kernels a row."""
import json
import shutil
import sys
import tempfile

from .build import Builder, run
from .space import ROOT, Manifest, Slot


def builder_of(schedule, *arguments, **options):
    return (DeviceBuilder if schedule.device else Builder)(schedule, *arguments, **options)


class DeviceBuilder(Builder):
    def __init__(self, schedule, *arguments, **options):
        super().__init__(schedule, *arguments, **options)
        self.header = "on_device.h"
        self.includes += [ROOT / "runtime/include", ROOT / "tune/runner"]
        self.runner_options = ["-D", "HNORM_ON_DEVICE=ON"]
        self.ptxas = shutil.which("ptxas") or shutil.which("ptxas", path="/usr/local/cuda/bin")
        # In every row alike.
        self.group_points = {Slot(name, "", ""): {} for name in self.manifest.group_kernels}

    def symbol(self, slot, point):
        if self.library_objects and slot in self.group_points:
            return f"hnorm_kernel_{slot.kernel}_{self.schedule.target}"
        return super().symbol(slot, point)

    def _check(self, object_):
        """CUDA's are held to what a test holds the library's to: a point whose registers spill, where there is ptxas, is none."""
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

    def _table(self, rows, dispatch):
        of_device = [self._row(name, kernels) for name, (_, kernels) in rows.items()]
        return "\n".join([
            "namespace hnorm::detail {  // none of the CPU's", "const Target hnorm_targets[1] = {};",
            "const int hnorm_targets_count = 0;",
            *(f"const {entry['signature']} hnorm_kernels_{name}[1][kElementTypes][kPlaneClasses] = {{}};"
              for name, entry in Manifest().kernels.items()),
            "}", "namespace hnorm::tune {", "using namespace hnorm::detail;",
            f"const hnorm_device device = HNORM_{self.schedule.device.upper()};",
            f"const DeviceKernels device_rows[] = {{{', '.join(of_device)}}};",
            f"const int device_rows_count = {len(rows)};", "}",
        ])

    def _row(self, name, kernels):
        types = []
        for type_ in self.manifest.types:
            fields = []
            for kernel, entry in self.manifest.kernels.items():
                planes = ", ".join(kernels.get(Slot(kernel, planes, type_), "nullptr") for planes in self.manifest.planes)
                fields.append(f".{entry['table']} = {{{planes}}}")
            types.append(f"{{{', '.join(fields)}}}")
        groups = (f".{entry['table']} = {kernels[Slot(kernel, '', '')]}"
                  for kernel, entry in self.manifest.group_kernels.items())
        return f"{{.name = {json.dumps(name)}, .of = {{{', '.join(types)}}}, {', '.join(groups)}}}"
