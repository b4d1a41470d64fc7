"""Rows as a table and in Google Benchmark's JSON format."""
import datetime
import json
import os
import sys
import time
from statistics import median

from . import estimate
from .machine import caches
from .rows import Row

NAME_WIDTH = 92


def entry(row, label, shape_list, seconds, name, ratios):
    """A row of the JSON file, with the median of the ratios under `name`. label: TARGET/VARIANT; seconds: by round."""
    low, middle, high = estimate.interval(ratios)
    full, time_ = f"{row}/{label}", median(seconds)
    return {
        "name": full, "run_name": full, "run_type": "iteration", "repetitions": 1, "repetition_index": 0, "threads": 1,
        "shape_list": shape_list, "iterations": 1, "real_time": time_ * 1e6, "cpu_time": 0.0, "time_unit": "us",
        "bytes_per_second": Row(row).bytes_moved / time_, "rounds": len(seconds),
        name: middle, f"{name}_lo": low, f"{name}_hi": high,
    }


def heading(ratio):
    print(f"{'op/group/layout/type/shape/target/variant':{NAME_WIDTH}} {'time':>12} {'GB/s':>8} "
          f"{ratio.replace('_', ' '):>11}  95% interval", flush=True)


def line(row, ratio):
    time_ = row["real_time"]
    print(f"{row['name']:{NAME_WIDTH}} {time_:9.{3 if time_ < 10 else 1}f} us {row['bytes_per_second'] * 1e-9:8.2f} "
          f"{row[ratio]:11.3f}  {row[ratio + '_lo']:.3f} to {row[ratio + '_hi']:.3f}", flush=True)


def now():
    return datetime.datetime.now().astimezone().isoformat(timespec="seconds")


def write(path, rows, context):
    document = {
        "context": {"executable": "./dev bench", "num_cpus": os.cpu_count(), "caches": caches(),
                    "library_build_type": "release", **context},
        "benchmarks": rows,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    written = path.with_name(f"{path.name}.part")  # whoever reads or is cut off finds a whole file
    written.write_text(json.dumps(document, indent=2))
    written.replace(path)


class Progress:
    """How far a long measurement is: a line that moves on a terminal, else a line now and then."""

    def __init__(self, total, what):
        self.total, self.what, self.done, self.started, self.said = total, what, 0, time.time(), time.time()

    def step(self):
        self.done += 1
        terminal = sys.stderr.isatty()
        if time.time() - self.said < (0.2 if terminal else 30) and self.done < self.total:
            return
        self.said = time.time()
        passed = self.said - self.started
        left = passed / self.done * (self.total - self.done)
        text = f"bench: {self.what}: {self.done} of {self.total} rows, {passed:.0f} s, about {left:.0f} s left"
        end = "" if terminal and self.done < self.total else "\n"
        print(f"\r\033[K{text}" if terminal else text, end=end, file=sys.stderr, flush=True)
