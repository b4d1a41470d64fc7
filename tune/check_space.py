"""python -m tune.check_space: random points of the space give the bits of the schedule file's values, kernel by kernel.

A test (tests/CMakeLists.txt); for a thorough look: --points 500 --seed 7."""
import argparse
import os
import random
import sys
import tempfile
from pathlib import Path

from .bits import BIT_DISPATCH, rows_for_bits
from .build import BASE, Toolchain
from .device import builder_of
from .machine import halide_include, usable_targets
from .process import BuildError, rows_of
from .schedule import Schedule, known_targets
from .space import Manifest


def built_schedule(options):
    """The best of the targets, or the device, whose kernels the build has."""
    kernels = options.build / "generators/kernels"
    manifest = Manifest(devices=bool(options.device), checked=True)  # points may ask for buffers of the wrong size
    for target in known_targets(manifest.devices):
        problems = Schedule.of_target(target, manifest).problems()
        if problems:
            sys.exit(f"schedules/{target}.json: {'; '.join(problems)}")
    schedules = [Schedule.of_target(options.device, manifest)] if options.device else usable_targets(manifest)
    built = [schedule for schedule in schedules if list(kernels.glob(f"*_{schedule.target.replace('-', '_')}.o"))]
    if not built:
        sys.exit(f"{kernels} has kernels of no target that this machine runs: build the library first")
    return built[0]


def main():
    parser = argparse.ArgumentParser(prog="python -m tune.check_space", description=__doc__)
    parser.add_argument("--build", type=Path, required=True, help="a build folder with the library")
    parser.add_argument("--device", nargs="?", choices=known_targets(devices=True),
                        const=os.environ.get("HNORM_TEST_DEVICE") or "opencl",
                        help="of devices' space, and on this one: without a name HNORM_TEST_DEVICE, or opencl "
                             "(default: the CPU's)")
    parser.add_argument("--points", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=int, help="so many of the rows for bits of each slot (default: all)")
    options = parser.parse_args()
    schedule = built_schedule(options)
    manifest = schedule.manifest
    slots = manifest.slots()
    draw = random.Random(options.seed)
    chosen = {slot: schedule.space.random_point(slot, options.seed)
              for slot in draw.sample(slots, min(options.points, len(slots)))}
    with tempfile.TemporaryDirectory() as folder:
        builder = builder_of(schedule, Path(folder), options.build / "bin/hnorm_generators", halide_include(),
                             Toolchain(), len(os.sched_getaffinity(0)), options.build / "generators/kernels")
        builder.library()
        try:
            print(rows_of(builder.stubs(), ["machine"], [])[0])
        except BuildError as error:
            if not error.output or os.environ.get("HNORM_TEST_DEVICE_NEEDED"):
                raise
            print(f"skipped: no driver: {error.output}")
            return 0
        failures = builder.compile(chosen.items())
        for failure in failures.values():
            print(failure)
        base = {slot: schedule.point(slot) for slot in slots}
        compiled = {slot: point for slot, point in chosen.items() if builder.symbol(slot, point) not in failures}
        program = builder.program({BASE: base, "random": base | compiled}, **BIT_DISPATCH)
        calling = rows_for_bits(builder, chosen)
        missed = [str(slot) for slot, some in calling.items() if not some]
        rows = list(dict.fromkeys(row for some in calling.values()
                                  for row in draw.sample(some, min(options.rows or len(some), len(some)))))
        found = rows_of(program, ["bits"], rows)
    for slot, point in chosen.items():
        print(f"{slot}: {point}")
    differing = [line["case"] for line in found if line["differing"]]
    print(f"seed {options.seed}: {len(rows)} rows, {len(differing)} with other bits: {' '.join(differing)}")
    failed = {why for line in found for why in line["failed"].values()}
    print(*failed, sep="\n", end="")
    if missed:
        print(f"called by no row: {', '.join(missed)}")
    return 1 if differing or failures or missed or failed else 0


if __name__ == "__main__":
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    sys.exit(main())
