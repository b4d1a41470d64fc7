"""python -m bench.compare: see `./dev bench --help`. ./dev sets it up."""
import argparse
import os
import shlex
import subprocess
import sys
from pathlib import Path

from tune.build import BuildError
from tune.machine import cpu_name
from tune.rows import GROUPS, LAYOUTS, MAIN_OPS, TYPES, RowError, groups_of_channels, named_list, read_shapes, rows
from tune.space import ROOT

from . import data, measure, report
from .device import LEAST_TIMING, OnDevice, device_peers
from .kinds import GRADIENTS, KINDS
from .variants import VARIANTS, Variants

DESCRIPTION = """\
Times hnorm's calls over lists of shapes, with other schedules (--variants) and other libraries (--peers) beside them: all in
turn, in one run, on the same memory and threads, next to the copy floor. With --data: on kinds of data, next to normal ones."""
LAST_LEVEL_CACHES = 4  # how many times the last-level cache is replaced where caches are to be cold


def parse():
    parser = argparse.ArgumentParser(prog="dev bench", description=DESCRIPTION,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--shapes", action="append", metavar="LIST",
        help="a list of bench/shapes/ or a file; may be repeated (default: standard; with --data: data, pictures)")
    add("--variants", nargs="?", const=",".join(VARIANTS), default="tuned", metavar="NAMES",
        help=f"schedules beside the library's: of {','.join(VARIANTS)}; without NAMES all")
    add("--device", choices=("cuda", "opencl"),
        help="hnorm on this device beside a copy within it, and with --peers PyTorch's kernels and cuDNN (CUDA)")
    add("--data", nargs="?", const=",".join([*KINDS, *GRADIENTS]), metavar="KINDS",
        help="no other contenders but other data, beside normally distributed: of %(const)s; without KINDS all")
    add("--peers", action="store_true", help="PyTorch, oneDNN, ONNX Runtime and ncnn, where they compute the same")
    add("--op", action="append", metavar="OP",
        help="forward, normalize, backward (default; with --data without normalize), moments, forward_add_relu, ...")
    add("--group", action="append", metavar="GROUP",
        help="batch, instance (default: both), or groupsG, group norm of G groups, as groups32")
    add("--layout", action="append", choices=LAYOUTS)
    add("--type", action="append", choices=TYPES, help="default: f32")
    add("--target", help="default: the best that this machine runs")
    add("--quick", action="store_true", help="less time for each row")
    add("--cold", action="store_true", help="caches are emptied before every call; variants are named .../VARIANT_cold")
    add("--json", type=Path, metavar="FILE", help="write the rows in Google Benchmark's format")
    add("--plot", nargs="?", const=ROOT / "out/bench", type=Path, metavar="FOLDER",
        help="draw the rows (default: into out/bench)")
    options = parser.parse_args()
    if options.device and (options.cold or options.target or options.variants != "tuned"):
        parser.error("--device goes without --variants, --target and --cold")
    if options.data and (options.device or options.peers or options.cold or options.plot or options.variants != "tuned" or
                         options.type not in (None, ["f32"])):
        parser.error("--data is of f32 on the CPU, and goes without --variants, --peers, --cold and --plot")
    options.data = list(dict.fromkeys(options.data.split(","))) if options.data else []
    for name in options.data:
        if name not in KINDS | GRADIENTS:
            parser.error(f"--data names {name}: there are {', '.join(KINDS | GRADIENTS)}")
    options.variants = list(dict.fromkeys(["tuned", *options.variants.split(",")]))
    for name in options.variants:
        if name not in VARIANTS:
            parser.error(f"--variants names {name}: there are {', '.join(VARIANTS)}")
    for group in options.group or ():
        if group not in GROUPS and not groups_of_channels(group):
            parser.error(f"--group is {group}: it must be one of {', '.join(GROUPS)} or groupsG, as groups32")
    for op in options.op or ():
        if op not in report.TENSORS:
            parser.error(f"--op is {op}: there are {', '.join(report.TENSORS)}")
    return options


def note(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def last_level_cache():
    """Bytes, as Linux says; 64 MiB where it does not."""
    sizes = []
    for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        text = path.read_text().strip()
        sizes.append(int(text[:-1]) * {"K": 1 << 10, "M": 1 << 20}[text[-1]])
    return max(sizes, default=64 << 20)


def bench(options):
    build = Path(os.environ.get("HNORM_BUILD", ROOT / "build/release"))
    lists, ops = options.shapes or ["standard"], MAIN_OPS
    if options.data:
        kinds, ops = data.plan(options.shapes, options.data), data.OPS
        lists = list(kinds)
    types = options.type or ["f32"]
    names = {name: [row for row in rows(read_shapes(named_list(name)), options.op or ops, types, options.group or GROUPS)
                    if row.split("/")[2] in (options.layout or LAYOUTS)] for name in lists}
    every = [row for of_list in names.values() for row in of_list]
    peers = []
    if options.device:
        hnorm, threads, ours = OnDevice(options.device, build, note), "", ("hnorm",)
        if options.peers:
            peers = device_peers(options.device, note)
    else:
        hnorm, ours = Variants(options.variants, every, build, options.target, note), VARIANTS
        threads = str(hnorm.library.hnorm_compare_threads())
        if options.peers:
            from .peers import all_peers

            peers = all_peers(int(threads), note)
    effort = measure.QUICK if options.quick else measure.THOROUGH
    evict, suffix = None, ""
    if options.cold:
        size = min(LAST_LEVEL_CACHES * last_level_cache(), 1 << 30)
        evict, suffix = (lambda: hnorm.evict(size)), "_cold"
    context = {"date": report.now(), "command": shlex.join(["./dev", "bench", *sys.argv[1:]]), "cpu_name": cpu_name(),
               "hnorm_target": hnorm.target, "hnorm_threads": threads,
               "peers": ", ".join(peer.version for peer in peers)}
    note(f"{context['cpu_name']}, {hnorm.target}" + (f", threads: {threads}" if threads else ""))

    found, ratio = [], "over_normal" if options.data else "of_floor"
    report.heading(ratio)
    for name, of_list in names.items():
        for row in of_list:
            hnorm.open(row)
            contenders = hnorm.contenders(row, note)
            if options.data:
                contenders = data.timers(row, contenders["tuned"], hnorm.memory, kinds[name])
            for peer in peers:
                contenders |= peer.contenders(row, hnorm.memory)
            seconds = measure.rounds(contenders, effort, evict, bool(peers) and not options.device,
                                     LEAST_TIMING if options.device else measure.LEAST_TIMING)
            if options.data:
                entries = data.entries(row, hnorm.target, seconds, name)
            else:
                whose = {"floor": "copy"} | dict.fromkeys(ours, hnorm.target)
                entries = [report.entry(row, whose.get(contender, "peer"), contender + suffix, seconds, contender, name)
                           for contender in contenders]
            for entry in entries:
                report.line(entry, ratio)
            found += entries
    if options.data:
        data.summary(found)
    if options.json:
        report.write(options.json, found, context)
    if options.plot:
        # By hnorm's own environment, which has matplotlib; this one may be the peers'.
        written = options.json or ROOT / "out/bench/rows.json"
        report.write(written, found, context)
        subprocess.run([ROOT / ".venv/bin/python", "-m", "bench.compare.plot", written, options.plot], check=True)


def main():
    os.environ["PATH"] = f"{ROOT / '.venv/bin'}:{os.environ['PATH']}"
    options = parse()
    try:
        bench(options)
    except (BuildError, RowError, RuntimeError, ValueError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
