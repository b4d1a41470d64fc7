"""python -m tune.worth: what values by shape would be worth, from the journal of ./dev tune on this machine.

Each kernel's best points are measured again, with the schedule file's values, on up to twelve rows. Says the gain of
the one point that is best for all rows, and that of a point for each row. A point is chosen by half of the rounds and
judged by the other half, both ways: the best of noisy figures would be too good."""
import argparse
import json
import math
import os
import statistics
import sys
import time
from pathlib import Path

import optuna
from tqdm import tqdm

from bench import estimate
from bench.rows import named_list, read_shapes, rows

from .build import BASE, Toolchain
from .device import builder_of
from .journal import Failures, lock, open_storage
from .machine import best_target, halide_include
from .measuring import Measuring
from .process import BuildError, Outside, brief
from .progress import Progress
from .schedule import Schedule
from .search import mean_scores
from .space import ROOT, Manifest
from .uses import Uses

ROWS = 12
EFFORT = (0.12, 12, 80)
CARRIES = 1.03  # a gain that is worth a variant


def best_points(storage, schedule, slot, base, count):
    """Of all that the journal has about a slot, whatever it was compared with."""
    knobs, scores = schedule.space.knobs(slot), {}
    for study in storage.get_all_studies():
        if study.study_name.startswith(f"{slot} "):
            one = optuna.load_study(study_name=study.study_name, storage=storage)
            for point, score in mean_scores(one.get_trials(deepcopy=False), knobs).items():
                scores[point] = max(score, scores.get(point, -math.inf))
    points = sorted(scores, key=scores.get, reverse=True)
    return [point for text in points if (point := json.loads(text)) != base][:count]


def gains(seconds, names):
    """seconds: {row: {name: by round}}. Returns {row: (gain of one point for all rows, of the row's own)} over base."""
    found = {row: [0.0, 0.0] for row in seconds}
    for chosen_by, judged_by in ((0, 1), (1, 0)):
        logs = [{row: {name: math.log(statistics.median(estimate.ratios(times, BASE, name)[half::2])) for name in names}
                 for row, times in seconds.items()} for half in (chosen_by, judged_by)]
        one = max(names, key=lambda name: statistics.fmean(of_row[name] for of_row in logs[0].values()))
        for row, of_row in logs[0].items():
            own = max(names, key=of_row.get)
            for i, name in enumerate((one, own)):
                found[row][i] += logs[1][row][name] / 2
    return {row: tuple(map(math.exp, pair)) for row, pair in found.items()}


def mean(values):
    return math.exp(statistics.fmean(map(math.log, values)))


def distribution(values):
    values = sorted(values)
    tenth, middle, ninth = (values[round(share * (len(values) - 1))] for share in (0.1, 0.5, 0.9))
    share = sum(value > CARRIES for value in values) / len(values)
    return (f"{mean(values):.3f} in the mean of {len(values)} rows; a tenth below {tenth:.3f}, half below "
            f"{middle:.3f}, nine tenths below {ninth:.3f}; {share:.0%} above {CARRIES}")


def measured(options, progress):
    """{slot: {row: gains}}"""
    manifest = Manifest()
    schedule = Schedule.of_target(options.target or best_target(manifest), manifest)
    folder = ROOT / "out/tune" / schedule.target
    held = lock(folder)
    build = Path(os.environ.get("HNORM_BUILD", ROOT / "build/release"))
    builder = builder_of(schedule, folder, build / "bin/hnorm_generators", halide_include(), Toolchain(),
                         len(os.sched_getaffinity(0)))
    builder.library()
    measuring = Measuring(builder, progress, progress.deadline)
    storage = open_storage(folder / "journal.log", measuring.patiently, progress.warn)
    measuring.failures = Failures(storage, "worth")
    main_rows = rows(read_shapes(named_list(options.shapes)), None, ["f32"])
    uses = Uses(schedule, builder, main_rows, set(main_rows))
    measuring.base = {slot: schedule.point(slot) for slot in manifest.slots()}
    found = {}
    for slot in tqdm([slot for slot in uses.slots if uses.tier[slot] == 1], disable=not sys.stderr.isatty()):
        if time.time() > progress.deadline:
            progress.note("the time is over")
            break
        points = best_points(storage, schedule, slot, measuring.base[slot], options.points)
        if not points:
            progress.note(f"{slot}: the journal has no points")
            continue
        contenders = {f"point_{i}": {slot: point} for i, point in enumerate(points)}
        try:
            seconds = measuring.measure(contenders, uses.rows_for(slot, ROWS), EFFORT)
        except BuildError as error:
            progress.warn(f"{slot}: {brief(error)}")
            continue
        found[slot] = gains(seconds, [BASE, *contenders])
        one, own = (mean(pair[i] for pair in found[slot].values()) for i in (0, 1))
        progress.note(f"{str(slot):34} one point {one:.3f}, by row {own:.3f}; {len(points)} points, "
                      f"{len(found[slot])} rows")
    builder.close()
    held.close()
    return found


def main():
    parser = argparse.ArgumentParser(prog="python -m tune.worth", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", help="default: the best that this machine's CPU runs")
    parser.add_argument("--shapes", default="standard")
    parser.add_argument("--points", type=int, default=5, help="of each kernel (default: 5)")
    parser.add_argument("--minutes", type=float, default=10, help="at most (default: 10)")
    options = parser.parse_args()
    progress = Progress(time.time(), time.time() + 60 * options.minutes)
    try:
        found = measured(options, progress)
    except (Outside, BuildError, ValueError) as error:
        sys.exit(f"worth: {error}")
    finally:
        progress.close()
    pairs = [pair for of_slot in found.values() for pair in of_slot.values()]
    if not pairs:
        sys.exit("worth: the journal has nothing to measure: run ./dev tune --dry-run first")
    print(f"one point for all rows over the file:  {distribution([one for one, _ in pairs])}")
    print(f"each row's own point over the file:    {distribution([own for _, own in pairs])}")
    print(f"each row's own over one for all:       {distribution([own / one for one, own in pairs])}")
    return 0


if __name__ == "__main__":
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    sys.exit(main())
