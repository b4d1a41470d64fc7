"""python -m bench: `./dev bench`, which sets it up; arguments.py says what there is to ask for."""
import os
import shlex
import subprocess
import sys
from pathlib import Path

from . import data, estimate, grid, over_ranks, report
from .against import compare
from .arguments import parse
from .device_peers import device_peers
from .library import Library
from .machine import cpu_name, device_name, last_level_cache
from .rows import GROUPS, LAYOUTS, ROOT, RowError, named_list, read_shapes, rows

QUICK, THOROUGH = (0.06, 7, 40), (0.4, 11, 300)  # seconds a contender, least rounds, most
LAST_LEVEL_CACHES = 4  # how many times the last-level cache is replaced where caches are to be cold


class Built(Library):
    """The library as it is built, by each target that is asked for, or on a device."""

    def __init__(self, options, build, _rows, _note):
        os.environ["HNORM_BENCH_DEVICE"] = options.device or ""
        super().__init__(build / f"bin/libhnorm{'_device' if options.device else ''}_bench.so")
        self.target = self.machine["target"]
        usable = self.machine["targets"]
        targets = options.target or [self.target]
        for target in targets:
            if target not in usable:
                raise ValueError(f"--target is '{target}': this machine runs {', '.join(usable)}")
        self.labels = {target: f"{target}/tuned" for target in targets}

    def contenders(self, row):
        return ["memcpy", "streaming"] if row.startswith("copy/") else list(self.labels)


def note(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def peers_of(options, threads):
    if not options.peers:
        return []
    if options.device:
        return device_peers(options.device, note)
    from .peers import all_peers

    return all_peers(threads, note)


def bench(options, variants):
    """The exit status."""
    build = Path(os.environ.get("HNORM_BUILD", ROOT / "build/release"))
    if options.ranks:
        note(cpu_name())
        over_ranks.measure(build, options.ranks, options.quick, note)
        return 0
    lists, ops = options.shapes or ["standard"], options.op
    if options.data:
        kinds, ops = data.plan(options.shapes, options.data), options.op or data.OPS
        lists = list(kinds)
    names = {name: rows(read_shapes(named_list(name)), ops, options.type, options.group, options.layout,
                        usual_types=("f32",)) for name in lists}
    every = [row for of_list in names.values() for row in of_list]
    if not every:
        raise ValueError(f"no row of {', '.join(lists)} is left: the arguments ask for none that its shapes have")
    hnorm = (variants if options.variants else Built)(options, build, every, note)
    threads = hnorm.machine.get("threads", "")
    peers = peers_of(options, threads)
    context = {"date": report.now(), "command": shlex.join(["./dev", "bench", *sys.argv[1:]]),
               "cpu_name": cpu_name(), "hnorm_target": hnorm.target, "hnorm_threads": str(threads),
               "copy_vectors": hnorm.machine.get("copy_vectors", ""),
               "peers": ", ".join(peer.version for peer in peers)}
    if options.device:
        context["device_name"] = device_name(options.device)
    measured_on = context.get("device_name", context["cpu_name"])
    note(f"{measured_on}, {hnorm.target}" + (f", threads: {threads}" if threads else ""))
    if options.grid:
        found = grid.measure(hnorm, options.op or grid.OPS, options.group or GROUPS, options.layout or LAYOUTS)
        grid.summary(found)
    elif options.against and not compare.is_file(options.against):
        found = compare.against_commit(hnorm, every, options.against, build, options.quick, note)
    else:
        evict = min(LAST_LEVEL_CACHES * last_level_cache(), 1 << 30) if options.cold else 0
        effort = QUICK if options.quick else THOROUGH
        ratio = "over_normal" if options.data else "of_floor"
        found = []
        report.heading(ratio)
        for name, of_list in names.items():
            for row in of_list:
                hnorm.open(row)
                if options.data:
                    entries = data.entries(hnorm, row, kinds[name], effort, name)
                else:
                    entries = beside_floor(hnorm, row, peers, effort, evict, name, bool(peers) and not options.device)
                for entry in entries:
                    if "/copy/floor" not in entry["name"] or row.startswith("copy/"):  # else `of floor` says it
                        report.line(entry, ratio)
                found += entries
                if options.json:  # of what is cut off later, too
                    report.write(options.json, found, context)
    if options.data:
        data.summary(found)
    if options.against and compare.is_file(options.against):
        found += compare.against_file(found, context, options.against, note)
    if options.json:
        report.write(options.json, found, context)
    if options.plot:
        # By hnorm's own environment, which has matplotlib; this one may be the peers'.
        written = options.json or ROOT / "out/bench/rows.json"
        report.write(written, found, context)
        subprocess.run([ROOT / ".venv/bin/python", "-m", "bench.plot", written, options.plot], check=True)
    if options.against:
        return compare.summary([entry for entry in found if "verdict" in entry], options.against)
    return 0


def beside_floor(hnorm, row, peers, effort, evict, shape_list, settle):
    names = hnorm.contenders(row)
    labels = {name: f"copy/{name}" for name in names} | hnorm.labels
    of_others = {name: timer for peer in peers for name, timer in peer.contenders(row, hnorm.memory).items()}
    for name, timer in of_others.items():
        hnorm.add(name, timer)
    seconds = hnorm.measure([*names, *of_others, "floor"], effort, evict, settle)
    found = []
    for name, times in seconds.items():
        label = "copy/floor" if name == "floor" else f"peer/{name}" if name in of_others else labels[name]
        more = {"floor_seconds": report.median(seconds["floor"])}
        if name == "tuned" and "untuned" in seconds:
            more["of_untuned"] = report.median(estimate.ratios(seconds, "untuned", name))
        found.append(report.entry(row, label + ("_cold" if evict else ""), shape_list, times, "of_floor",
                                  estimate.ratios(seconds, "floor", name)) | more)
    return found


def main(variants=None):
    """variants: the class of a library with other schedules' kernels, which the tuner makes (tune/bench.py)."""
    options = parse(sys.argv[1:])
    try:
        return bench(options, variants)
    except KeyboardInterrupt:
        print("\nbench: stopped", file=sys.stderr)
        return 130
    except (RowError, RuntimeError, ValueError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
