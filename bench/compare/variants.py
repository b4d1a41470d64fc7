"""The kernels by every schedule: as shipped, untuned, naive, and by Halide's autoschedulers, in one shared library."""
import ctypes
import os
import zlib

from tune.build import Builder, Toolchain, rows_of
from tune.machine import best_target, halide_include
from tune.rows import elements
from tune.schedule import Schedule
from tune.space import ROOT, Manifest

from .library import Library

AUTOSCHEDULERS = ("Mullapudi2016", "Adams2019", "Li2018")
VARIANTS = ("tuned", "untuned", "naive", *(name.lower() for name in AUTOSCHEDULERS))
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
    """hnorm with a row of its dispatch table for each variant, through ctypes (tune/runner/shared.cpp)."""

    def __init__(self, names, rows, build, target, note):
        manifest = Manifest()
        self.schedule = Schedule.of_target(target or best_target(manifest), manifest)
        self.target = self.schedule.target
        jobs = len(os.sched_getaffinity(0))
        folder = ROOT / "out/bench" / self.target
        builder = Builder(self.schedule, folder, build / "bin/hnorm_generators", halide_include(), Toolchain(), jobs)
        builder.library()
        # Only the kernels that the rows call.
        self.uses = {line["case"]: line["kernels"] for line in rows_of(builder.probe(), ["uses"], rows)}
        called = {name for kernels in self.uses.values() for name in kernels}
        slots = [slot for slot in manifest.slots() if str(slot) in called]
        # What has no kernel of its own by a variant has the shipped one's, so that calls reach the others; failures say where.
        shipped = {slot: self.schedule.point(slot) for slot in slots}
        table, self.failures = {}, {}
        for name in names:
            note(f"compiling {len(slots)} kernels, {name}")
            builder.patience = PATIENCE if name not in ("tuned", "untuned", "naive") else 600
            points = {slot: point_of(name, self.schedule, slot, jobs) for slot in slots}
            failed = builder.compile(points.items())
            self.failures[name] = {str(slot): failed[builder.symbol(slot, point)] for slot, point in points.items()
                                   if builder.symbol(slot, point) in failed}
            for slot, reason in self.failures[name].items():
                note(f"{name}: no kernel {slot}: {str(reason).splitlines()[-1]}")
            table[name] = {slot: shipped[slot] if str(slot) in self.failures[name] else point
                          for slot, point in points.items()}
        super().__init__(builder.shared_library(folder / "libhnorm_variants.so", table))
        self.library.hnorm_compare_contenders.restype = ctypes.c_char_p
        self.library.hnorm_compare_evict.argtypes = [ctypes.c_int64]
        self.names = names

    def open(self, case):
        self._call(self.library.hnorm_compare_open, case.encode())

    def contenders(self, row, note):
        """{name: function of a number of calls, that returns the seconds of one}: the variants and the copies. Without those
        that refuse the row, whose kernel is another variant's, or that give other bits than the shipped kernels: said."""
        called = self.uses[row]
        timers = {}
        expected = None
        for name in self.library.hnorm_compare_contenders().decode().split():
            if any(slot in self.failures.get(name, ()) for slot in called):
                continue
            timer = self._timer(name)
            try:
                timer(1)
            except RuntimeError as error:
                note(f"{row}: {name} cannot: {error}")
                continue
            if name in self.names and not row.startswith(WRITE_NO_TENSOR):
                found = zlib.crc32(ctypes.string_at(self.memory("y"), elements(row) * (4 if "/f32/" in row else 2)))
                expected = found if expected is None else expected
                if found != expected:
                    note(f"{row}: {name} gives other bits, and is left out")
                    continue
            timers[name] = timer
        return timers

    def evict(self, count):
        self.library.hnorm_compare_evict(count)
