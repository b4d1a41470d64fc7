"""Compiles other values of the knobs for a machine without a compiler: a program that times them beside those in use,
and one that says which kernels a call takes. python -m gpu.compile DEVICE COUNT: into the build, to try it."""
import json
import os
import subprocess
import sys
from pathlib import Path

from bench.rows import named_list, read_shapes, rows
from tune.bits import TUNED_OPS, bit_rows
from tune.build import Toolchain
from tune.device import builder_of
from tune.machine import halide_include
from tune.schedule import Schedule
from tune.space import ROOT, Manifest

from .candidates import FOLDER
from .steps import bin_folder

TYPE = "f32"
NAME = "candidate_{}"


def points_of(schedule, slot, count):
    """Legal ones, all different, and none the one in use."""
    known, seed = [schedule.point(slot)], 0
    while len(known) <= count and seed < 50 * count:
        point = schedule.space.random_point(slot, seed)
        seed += 1
        if point not in known:
            known.append(point)
    return known[1:]


def compile_candidates(folder, count, say, device="cuda"):
    """Into folder / FOLDER: the programs, and what they are of."""
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # cmake and ninja of .venv
    manifest = Manifest(devices=True)
    schedule = Schedule.of_target(device, manifest)
    build, jobs = bin_folder().parent, len(os.sched_getaffinity(0))
    toolchain = Toolchain(flags=["-static-libstdc++", "-static-libgcc"])
    builder = builder_of(schedule, ROOT / "out/gpu" / device, bin_folder() / "hnorm_generators", halide_include(),
                         toolchain, jobs, library=build / "generators/kernels")
    builder.library()
    slots = [slot for slot in manifest.slots() if slot.type == TYPE]
    points = {slot: points_of(schedule, slot, count) for slot in slots}
    say(f"compiling {sum(map(len, points.values()))} kernels for {device}")
    failures = builder.compile([(slot, point) for slot, some in points.items() for point in some])
    if failures:
        say(f"{len(failures)} of them do not compile, or spill registers, and are left out")
    points = {slot: [point for point in some if builder.symbol(slot, point) not in failures]
              for slot, some in points.items()}
    base = {slot: schedule.point(slot) for slot in slots}
    table = {"base": base} | {
        NAME.format(i): base | {slot: some[i] for slot, some in points.items() if i < len(some)} for i in range(count)}
    there = folder / FOLDER.format(device)
    there.mkdir(exist_ok=True)
    for name, program in (("runner", builder.program(table)), ("stubs", builder.stubs())):
        subprocess.run(["strip", "-o", there / name, program[-1]], check=True)
        Path(program[-1]).unlink()
    (there / "candidates.json").write_text(json.dumps({
        "points": {str(slot): some for slot, some in points.items()},
        "rows": rows(read_shapes(named_list("gpu")), None, (TYPE,), usual_ops=TUNED_OPS),
        "bit_rows": list(dict.fromkeys(row for slot in slots for row in bit_rows(slot, manifest.served(slot)))),
    }))


if __name__ == "__main__":
    compile_candidates(bin_folder(), int(sys.argv[2]), lambda text: print(f"gpu: {text}", flush=True), sys.argv[1])
