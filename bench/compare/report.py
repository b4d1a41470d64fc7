"""Rows as a table and in Google Benchmark's JSON format, whose names and counters are those of hnorm_bench."""
import datetime
import json
import os
import statistics

from . import measure
from tune.rows import elements

TENSORS = {"forward": 2, "moments": 1, "normalize": 2, "backward": 3, "forward_relu": 2, "forward_add_relu": 3,
           "backward_relu": 3, "normalize_add_relu": 3, "backward_add_relu": 5, "backward_reduce": 2}
NAME_WIDTH = 92


def bytes_moved(row):
    op, _, _, type_, _ = row.split("/")
    return elements(row) * (4 if type_ == "f32" else 2) * TENSORS[op]


def timed_entry(row, target, variant, seconds, shape_list):
    """One row of the JSON file; time in microseconds, as hnorm_bench's."""
    median = statistics.median(seconds)
    full = f"{row}/{target}/{variant}"
    return {
        "name": full, "run_name": full, "run_type": "iteration", "repetitions": 1, "repetition_index": 0, "threads": 1,
        "shape_list": shape_list, "iterations": 1, "real_time": median * 1e6, "cpu_time": 0.0, "time_unit": "us",
        "bytes_per_second": bytes_moved(row) / median, "rounds": len(seconds),
    }


def entry(row, target, variant, seconds, name, shape_list):
    of_floor, low, high = measure.ratio(seconds, "floor", name)
    pairs = {}
    if name == "tuned" and "untuned" in seconds:
        pairs = {"of_untuned": measure.ratio(seconds, "untuned", name)[0]}
    return timed_entry(row, target, variant, seconds[name], shape_list) | {
        "of_floor": of_floor, "of_floor_lo": low, "of_floor_hi": high,
        "floor_seconds": statistics.median(seconds["floor"]), **pairs,
    }


def heading(ratio):
    print(f"{'op/group/layout/type/shape/target/variant':{NAME_WIDTH}} {'time':>12} {'GB/s':>8} {ratio.replace('_', ' '):>11}"
          "  quartiles")


def line(row, ratio):
    time = row["real_time"]
    print(f"{row['name']:{NAME_WIDTH}} {time:9.{3 if time < 10 else 1}f} us {row['bytes_per_second'] * 1e-9:8.2f} "
          f"{row[ratio]:11.3f}  {row[ratio + '_lo']:.3f} to {row[ratio + '_hi']:.3f}", flush=True)


def now():
    return datetime.datetime.now().astimezone().isoformat(timespec="seconds")


def write(path, rows, context):
    document = {
        "context": {"executable": "bench.compare", "num_cpus": os.cpu_count(), "caches": [],
                    "library_build_type": "release", **context},
        "benchmarks": rows,
    }
    with open(path, "w") as file:
        json.dump(document, file, indent=2)
