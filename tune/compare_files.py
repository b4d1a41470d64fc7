"""python -m tune.compare_files OLD.json NEW.json: the speed of one schedule file's kernels over another's, row by row.

Says which rows are proven slower than the tuner tolerates, and exits with 1 where there are any."""
import argparse
import json
import math
import os
import statistics
import sys
from pathlib import Path

from bench import estimate
from bench.rows import MAIN_OPS, named_list, read_shapes, rows

from .build import BASE, Toolchain
from .device import builder_of
from .machine import halide_include
from .process import rows_of
from .schedule import Schedule
from .space import ROOT, Manifest


def main():
    parser = argparse.ArgumentParser(prog="python -m tune.compare_files", description=__doc__)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--shapes", default="standard")
    parser.add_argument("--seconds", type=float, default=0.3, help="of each row and file (default: 0.3)")
    options = parser.parse_args()
    data = [json.loads(path.read_text()) for path in (options.old, options.new)]
    manifest = Manifest(devices="device" in data[0])
    old, new = (Schedule(file, manifest) for file in data)
    build = Path(os.environ.get("HNORM_BUILD", ROOT / "build/release"))
    builder = builder_of(old, ROOT / "out/tune" / old.target, build / "bin/hnorm_generators", halide_include(),
                         Toolchain(), len(os.sched_getaffinity(0)))
    builder.library()
    table = {name: {slot: schedule.point(slot) for slot in manifest.slots() if slot.type == "f32"}
             for name, schedule in ((BASE, old), ("new", new))}
    failures = builder.compile([kernel for row in table.values() for kernel in row.items()])
    if failures:
        sys.exit(str(next(iter(failures.values()))))
    names = rows(read_shapes(named_list(options.shapes)), MAIN_OPS, ("f32",))
    slower, medians = [], {}
    for line in rows_of(builder.program(table), ["measure", options.seconds, 11, 200], names):
        ratios = estimate.ratios(line["seconds"], BASE, "new")
        low, middle, high = estimate.interval(ratios)
        slow = estimate.proven_slower(ratios)
        slower += [line["case"]] if slow else []
        medians.setdefault(line["case"].split("/")[0], []).append(math.log(middle))
        print(f"{line['case']:64} {middle:6.3f} ({low:.3f} to {high:.3f}){'  SLOWER' if slow else ''}")
    for op, logs in medians.items():
        print(f"{op:64} {math.exp(statistics.fmean(logs)):6.3f} in the mean of {len(logs)} rows, "
              f"{math.exp(min(logs)):.3f} at least")
    return 1 if slower else 0


if __name__ == "__main__":
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    sys.exit(main())
