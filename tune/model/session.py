"""./dev tune --model: values by the model, for a target of which no machine is at hand."""
import datetime
import math
import os
import re
import shlex
import statistics
import sys
import time
from pathlib import Path

from ..build import Builder, Toolchain
from ..machine import halide_include
from ..process import run
from ..progress import Progress
from ..proof import proof_of
from ..schedule import in_place, write
from ..space import ROOT, Stopped
from .climb import climb, neighbours, starts
from .cycles import MODELS
from .model import APART, Model, judged_knobs, trusted
from .trace import emulator, llvm_tool

LEAST_ROW = 0.99  # the least speed of a row, by which new values are taken
METHOD = "modelled"  # the first word of a file's method whose values nobody has measured


class Session:
    def __init__(self, model, types, only, progress, end):
        self.model, self.schedule, self.space = model, model.schedule, model.schedule.space
        self.progress, self.end, self.tried = progress, end, 0
        checked, found = trusted(), model.rows_by_slot(types)
        found = {slot: calls for slot, calls in found.items() if only is None or slot.kernel in only}
        self.slots = {slot: found[slot] for slot in sorted(found, key=_turn) if str(slot) in checked}
        left_out = sorted(str(slot) for slot in found if slot not in self.slots)
        if left_out:
            progress.note(f"{len(left_out)} kernels keep their values, for which the model has not been seen to "
                          f"foretell measurements: {', '.join(left_out)}")
        if not self.slots:
            raise Stopped("no kernel is left to choose values for: the model may judge none of those that --kernel and "
                          "--type name")

    def run(self):
        """{slot: (point, [speed of each row])} of the values that are taken"""
        taken = {}
        for i, (slot, (rows, others)) in enumerate(self.slots.items()):
            if time.time() >= self.end:
                self.progress.note(f"the time is over: {len(self.slots) - i} kernels keep their values")
                break
            self.progress.working(slot, 0, 1.0, "executing")
            point, speeds = self._best(slot, rows, others)
            gain = statistics.fmean(map(math.log, speeds))
            if gain >= APART and min(speeds) >= LEAST_ROW:
                taken[slot] = (point, speeds)
                self.progress.found(slot, math.exp(gain), point)
        return taken

    def _best(self, slot, rows, others):
        """(point, its speed over the values in use by row)"""
        base, judged = self.schedule.point(slot), {}  # judged: by the point's text

        def scores(points):
            new = {str(point): point for point in points if str(point) not in judged}
            if new:
                program = self.model.program(slot, [*new.values()], others)
                judged.update(zip(new, self.model.judge(program, slot, [*new.values()], rows)))
                self.tried += len(new)
                self.progress.tried(len(new))
            return [self.model.score(judged[str(base)], judged[str(point)]) for point in points]

        knobs = judged_knobs(self.space, slot, base)
        if "group_block" in knobs:  # what the runtime does for each task is not in the kernel's instructions
            knobs["group_block"] = [value for value in knobs["group_block"] if value >= base["group_block"]]
        best = climb(starts(self.space, slot, knobs, base), lambda point: neighbours(self.space, slot, knobs, point),
                     scores)
        return best, self.model.speeds(judged[str(base)], judged[str(best)])

    def provenance(self, taken, command):
        before = self.schedule.data.get("provenance", {})
        return {
            "method": f"{METHOD}, not measured: half by the cycles of the executed instructions, half by their "
                      "number; the others are those of the file before (docs/model.md)",
            "models": [*self.model.cpus, _version(llvm_tool("llvm-mca")),
                       _version(emulator(self.model.architecture)[0])],
            "date": datetime.date.today().isoformat(),
            "command": command,
            "candidates": self.tried,
            "changed": {
                str(slot): {"modelled_speed": [round(speed, 3) for speed in speeds],
                            "from": {name: value for name, value in self.schedule.point(slot).items()
                                     if point[name] != value}}
                for slot, (point, speeds) in sorted(taken.items())
            },
            "before": {name: before[name] for name in ("method", "date", "command", "notes") if name in before},
        }


def _turn(slot):
    """The types that most programs use, and the kernels that all of them call, come first."""
    return slot.type != "f32", slot.kernel not in ("moments", "normalize", "backward_reduce", "backward_apply"), slot


def _version(tool):
    found = re.search(r"(?:LLVM|qemu-\S+) version \d+(?:\.\d+)*", run([tool, "--version"]))
    return found[0] if found else tool


def tune(schedule, options, compiler, started):
    """compiler: the target's"""
    architecture = schedule.data["halide_arch"]
    method = schedule.data.get("provenance", {}).get("method", "")
    if schedule.device or architecture not in MODELS:
        raise ValueError(f"--model knows no CPU of target {schedule.target}: its targets are of {', '.join(MODELS)}")
    if options.shapes != "standard":
        raise ValueError("--model takes no --shapes: its rows are small, of every class of planes")
    if options.pack:
        raise ValueError("--model takes no --pack: a pack is for the machine at hand")
    if options.runner:
        raise ValueError("--model takes no --runner: leave it out, or --model, to measure with it")
    if method.startswith("tuned"):
        raise ValueError(f"{schedule.path(schedule.target).name} has measured values, which a model does not replace")
    jobs, deadline = len(os.sched_getaffinity(0)), started + options.budget
    build = Path(os.environ.get("HNORM_BUILD", ROOT / "build/release"))
    folder = ROOT / "out/tune" / schedule.target
    toolchain = Toolchain(compiler, ["-static"], emulator(architecture))
    builder = Builder(schedule, folder, build / "bin/hnorm_generators", halide_include(), toolchain, jobs)
    proof = proof_of(build, schedule, folder, toolchain)
    progress = Progress(started, deadline)
    try:
        progress.note(f"{schedule.target}, by the model of {' and '.join(MODELS[architecture])}, until "
                      f"{time.strftime('%H:%M:%S', time.localtime(deadline))}")
        builder.library()
        end = deadline - (0 if options.dry_run else proof.seconds(jobs))
        session = Session(Model(schedule, builder, jobs), options.type or schedule.manifest.types, options.kernel,
                          progress, end)
        taken = session.run()
        if not taken:
            progress.note("the model sees no values that are better: the file stays as it is")
            return
        new = schedule.with_points({slot: point for slot, (point, _) in taken.items()})
        new.data["provenance"] = session.provenance(taken, shlex.join(["./dev", "tune", *sys.argv[1:]]))
        _write(new, folder, options.dry_run, proof, progress)
    finally:
        progress.close()


def _write(new, folder, dry_run, proof, progress):
    path, new_values = new.path(new.target), f"{len(new.data['provenance']['changed'])} kernels have new values in"
    if dry_run:
        path = folder / path.name
        write(path, new.text())
        progress.note(f"--dry-run: schedules/ is left alone, {new_values} {path.relative_to(ROOT)}, modelled and not "
                      "measured")
        return
    with in_place(path, new.text(), folder, lambda action: action()):
        progress.note(f"{new_values} {path.relative_to(ROOT)}, modelled and not measured")
        proof.give(progress)
