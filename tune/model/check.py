"""python -m tune.model.check: the model's order of candidates against the order that this machine measures, by kernel.
Writes tune/model/checked.json, which says what --model may judge."""
import argparse
import datetime
import json
import math
import os
import random
import sys
from pathlib import Path

from bench import estimate
from bench.machine import cpu_name
from bench.rows import TYPES

from ..build import BASE, Builder, Toolchain
from ..machine import halide_include
from ..process import BuildError, rows_of
from ..schedule import Schedule
from ..space import ROOT, Manifest
from .model import APART, CHECKED, Model, names, points
from .ranks import agreeing, merged, spearman

EFFORT = (0.1, 20, 80)  # seconds a row and contender, least rounds, most


def sampled(space, slot, base, count):
    first, *others = points(space, slot, base)
    return [first, *random.Random(str(slot)).sample(others, min(count, len(others)))]


def measured(program, contenders, rows):
    """Of each: (score, that of the even rounds, that of the odd ones)"""
    seconds = {line["case"]: line["seconds"] for line in rows_of([program], ["measure", *EFFORT], rows)}
    ratios = [[estimate.ratios(seconds[row], BASE, name) for row in rows] for name in contenders]
    return [tuple(estimate.mean_log([row[part] for row in of_rows])
                  for part in (slice(None), slice(0, None, 2), slice(1, None, 2))) for of_rows in ratios]


def check(model, slot, rows, others, count):
    chosen = sampled(model.schedule.space, slot, model.schedule.point(slot), count)
    program = model.program(slot, chosen, others)
    judged = model.judge(program, slot, chosen, rows)
    base, speeds = judged[0], measured(program, names(chosen), rows)
    lines = merged([(one.code, (model.score(base, one), model.by_cycles(base, one), model.by_instructions(base, one),
                                *speed)) for one, speed in zip(judged, speeds)])
    model_says, by_cycles, by_instructions, says, even, odd = zip(*lines)
    agreed, pairs = agreeing(model_says, says, APART)
    best = max(range(len(lines)), key=lambda i: model_says[i])
    return {"candidates": len(lines), "correlation": _rounded(spearman(model_says, says)),
            "of_cycles": _rounded(spearman(by_cycles, says)),
            "of_instructions": _rounded(spearman(by_instructions, says)),
            "of_halves": _rounded(spearman(even, odd)), "pairs": [agreed, pairs],
            "speed": [_rounded(math.exp(value)) for value in (min(says), says[best], max(says))]}


def _rounded(value):
    return None if math.isnan(value) else round(value, 3)


def text(result):
    """JSON with a kernel a line"""
    head = json.dumps({name: value for name, value in result.items() if name != "kernels"}, indent=1)
    lines = (f"  {json.dumps(name)}: {json.dumps(found)}" for name, found in sorted(result["kernels"].items()))
    kernels = ",\n".join(lines)
    return f'{head[:-2]},\n "kernels": {{\n{kernels}\n }}\n}}\n'


def show(slot, line):
    low, chosen, high = line["speed"]
    figures = " ".join(f"{line[name] if line[name] is not None else '-':>6}"
                       for name in ("correlation", "of_cycles", "of_instructions", "of_halves"))
    print(f"{slot:36} {line['candidates']:3} {figures}  {line['pairs'][0]:3}/{line['pairs'][1]:<3} "
          f"{low:.3f} {chosen:.3f} {high:.3f}", flush=True)


def main():
    parser = argparse.ArgumentParser(prog="python -m tune.model.check", description=__doc__)
    add = parser.add_argument
    add("--target", default="x86-64-avx2", help="that this machine runs (default: %(default)s)")
    add("--kernel", action="append", help="only this one; may be repeated")
    add("--planes", action="append", choices=Manifest().planes, help="only this class; may be repeated")
    add("--type", action="append", choices=TYPES, help="only this one; may be repeated")
    add("--points", type=int, default=14, help="candidates a kernel besides the values in use (default: %(default)s)")
    add("--out", type=Path, default=CHECKED, help="(default: tune/model/checked.json)")
    options = parser.parse_args()
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # cmake and ninja of .venv
    manifest, jobs = Manifest(), len(os.sched_getaffinity(0))
    schedule = Schedule.of_target(options.target, manifest)
    build = Path(os.environ.get("HNORM_BUILD", ROOT / "build/release"))
    builder = Builder(schedule, ROOT / "out/tune" / options.target, build / "bin/hnorm_generators", halide_include(),
                      Toolchain(flags=["-static"]), jobs)
    builder.library()
    model = Model(schedule, builder, jobs)
    by_slot = {slot: found for slot, found in sorted(model.rows_by_slot(options.type or manifest.types).items())
               if (not options.kernel or slot.kernel in options.kernel)
               and (not options.planes or slot.planes in options.planes)}
    result = json.loads(options.out.read_text()) if options.out.exists() else {"kernels": {}}
    result |= {"comment": "Spearman's rank correlation of the model's order of candidates with the measured one, by "
                          "python -m tune.model.check (docs/model.md)",
               "cpu": cpu_name(), "target": options.target, "models": model.cpus,
               "date": datetime.date.today().isoformat()}
    print(f"{'':36}  n  model cycles instructions halves  pairs  slowest chosen fastest")
    for slot, (rows, others) in by_slot.items():
        try:
            result["kernels"][str(slot)] = check(model, slot, rows, others, options.points)
        except BuildError as error:
            print(f"{slot}: {error}", file=sys.stderr)
            continue
        show(str(slot), result["kernels"][str(slot)])
        options.out.write_text(text(result))


if __name__ == "__main__":
    main()
