"""This machine: which target it runs, and where its tools are."""
import re
from pathlib import Path

from .schedule import Schedule, known_targets
from .space import ROOT


def usable_targets(manifest):
    """Schedules that this machine runs, best first, as the library chooses: by what /proc/cpuinfo has, and by rank."""
    flags = set(re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.M)[1].split())
    schedules = [Schedule.of_target(target, manifest) for target in known_targets()]
    usable = [s for s in schedules if s.data["halide_arch"] == "x86-64" and flags >= set(s.data["cpu_features"])]
    return sorted(usable, key=lambda schedule: -schedule.data["rank"])


def best_target(manifest):
    usable = usable_targets(manifest)
    if not usable:
        raise ValueError("this machine runs no target of schedules/: name one with --target and --runner")
    return usable[0].target


def halide_include():
    found = list((ROOT / ".venv").glob("lib/python3*/site-packages/halide/include"))
    if not found:
        raise ValueError("halide's headers are not in .venv, where ./dev puts them")
    return found[0]
