"""python -m tune.check_space: random points of the space give the bits of the schedule file's values, kernel by kernel.

A test (tests/CMakeLists.txt); for a thorough look: --points 500 --seed 7."""
import argparse
import os
import random
import sys
import tempfile
from pathlib import Path

from .build import BASE, Builder, Toolchain, rows_of
from .machine import halide_include, usable_targets
from .rows import BIT_DISPATCH, bit_rows
from .schedule import Schedule, known_targets
from .space import Manifest


def main():
    parser = argparse.ArgumentParser(prog="python -m tune.check_space", description=__doc__)
    parser.add_argument("--build", type=Path, required=True, help="a build folder with the library")
    parser.add_argument("--points", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    manifest = Manifest()
    for target in known_targets():
        problems = Schedule.of_target(target, manifest).problems()
        if problems:
            sys.exit(f"schedules/{target}.json: {'; '.join(problems)}")

    kernels = options.build / "generators/kernels"
    built = [schedule for schedule in usable_targets(manifest) if list(kernels.glob(f"*_{schedule.target.replace('-', '_')}.o"))]
    if not built:
        sys.exit(f"{kernels} has kernels of no target that this machine runs: build the library first")
    schedule = built[0]
    slots = manifest.slots()
    draw = random.Random(options.seed)
    chosen = {slot: schedule.space.random_point(slot, options.seed)
              for slot in draw.sample(slots, min(options.points, len(slots)))}
    with tempfile.TemporaryDirectory() as folder:
        builder = Builder(schedule, Path(folder), options.build / "bin/hnorm_generators", halide_include(), Toolchain(),
                          len(os.sched_getaffinity(0)), kernels)
        builder.library()
        failures = builder.compile(chosen.items())
        for failure in failures.values():
            print(failure)
        base = {slot: schedule.point(slot) for slot in slots}
        program = builder.program({BASE: base, "random": base | {
            slot: point for slot, point in chosen.items() if builder.symbol(slot, point) not in failures}}, **BIT_DISPATCH)
        rows = list(dict.fromkeys(row for slot in chosen for row in bit_rows(slot)))
        called = {name for line in rows_of(builder.probe(**BIT_DISPATCH), ["uses", 3], rows) for name in line["kernels"]}
        missed = [str(slot) for slot in chosen if str(slot) not in called]
        differing = [line["case"] for line in rows_of(program, ["bits"], rows) if line["differing"]]
    for slot, point in chosen.items():
        print(f"{slot}: {point}")
    print(f"seed {options.seed}: {len(rows)} rows, {len(differing)} with other bits: {' '.join(differing)}")
    if missed:
        print(f"called by no row: {', '.join(missed)}")
    return 1 if differing or failures or missed else 0


if __name__ == "__main__":
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    sys.exit(main())
