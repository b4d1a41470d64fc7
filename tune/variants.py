"""./dev bench --variants: the kernels by every schedule, as shipped, untuned, naive, and by Halide's autoschedulers, in
one shared library."""
import ctypes
import os
import zlib

from bench.arguments import VARIANTS
from bench.library import Library
from bench.rows import Row

from .build import Builder, Toolchain
from .machine import best_target, halide_include
from .process import rows_of
from .schedule import Schedule
from .space import ROOT, Manifest

AUTOSCHEDULERS = ("Mullapudi2016", "Adams2019", "Li2018")
WRITE_NO_TENSOR = ("moments", "backward_reduce")
PATIENCE = 150  # seconds that an autoscheduler may take for one kernel


def point_of(variant, schedule, slot, threads):
    if variant == "tuned":
        return schedule.point(slot)
    if variant == "untuned":
        return schedule.space.default(slot)
    if variant == "naive":
        return {"scheduler": "naive"}
    name = next(name for name in AUTOSCHEDULERS if name.lower() == variant)
    return {"autoscheduler": name, "autoscheduler.parallelism": threads}


class Variants(Library):
    """hnorm with a row of its dispatch table for each variant."""

    def __init__(self, options, build, rows, note):
        manifest = Manifest()
        schedule = Schedule.of_target(options.target[0] if options.target else best_target(manifest), manifest)
        self.target, names = schedule.target, list(dict.fromkeys([VARIANTS[0], *options.variants]))
        self.labels = {name: f"{self.target}/{name}" for name in names}
        self.note, jobs = note, len(os.sched_getaffinity(0))
        folder = ROOT / "out/bench" / self.target
        builder = Builder(schedule, folder, build / "bin/hnorm_generators", halide_include(), Toolchain(), jobs)
        builder.library()
        # Only the kernels that the rows call.
        self.uses = {line["case"]: line["kernels"] for line in rows_of(builder.stubs(), ["uses"], rows)}
        called = {name for kernels in self.uses.values() for name in kernels}
        slots = [slot for slot in manifest.slots() if str(slot) in called]
        # What has no kernel of its own by a variant has the shipped one's, so that calls reach the
        # others; failures say where.
        shipped = {slot: schedule.point(slot) for slot in slots}
        table, self.failures = {}, {}
        for name in names:
            note(f"compiling {len(slots)} kernels, {name}")
            builder.patience = PATIENCE if name not in ("tuned", "untuned", "naive") else 600
            points = {slot: point_of(name, schedule, slot, jobs) for slot in slots}
            failed = builder.compile(points.items())
            self.failures[name] = {str(slot): failed[builder.symbol(slot, point)] for slot, point in points.items()
                                   if builder.symbol(slot, point) in failed}
            for slot, reason in self.failures[name].items():
                note(f"{name}: no kernel {slot}: {str(reason).splitlines()[-1]}")
            table[name] = {slot: shipped[slot] if str(slot) in self.failures[name] else point
                          for slot, point in points.items()}
        super().__init__(builder.shared_library(folder / "libhnorm_variants.so", table))

    def contenders(self, row):
        """Of the open row: the variants without those that refuse it, whose kernel is another variant's, or that give
        other bits than the shipped kernels: said."""
        found, expected = [], None
        for name in self.labels:
            if any(slot in self.failures[name] for slot in self.uses[row]):
                continue
            try:
                self.time(name, 1)
            except RuntimeError as error:
                self.note(f"{row}: {name} cannot: {error}")
                continue
            if not row.startswith(WRITE_NO_TENSOR):
                bits = zlib.crc32(ctypes.string_at(self.memory("y"), Row(row).bytes))
                expected = bits if expected is None else expected
                if bits != expected:
                    self.note(f"{row}: {name} gives other bits, and is left out")
                    continue
            found.append(name)
        return found
