"""python -m tune: see `./dev tune --help`. ./dev sets it up: the generators built, this folder's requirements
installed."""
import argparse
import os
import re
import shlex
import signal
import sys
import time
from pathlib import Path

from bench.machine import cpu_name
from bench.rows import TYPES, RowError, named_list, read_shapes, rows

from .bits import TUNED_OPS
from .build import Toolchain
from .conditions import Conditions
from .destination import destination_of
from .device import builder_of
from .journal import lock
from .machine import best_target, halide_include
from .pack import check_name
from .process import BuildError, Outside, end_all, rows_of
from .progress import Progress
from .proof import CHANGED_KERNELS, proof_of
from .provenance import provenance
from .schedule import Schedule, known_targets, restore, write
from .space import ROOT, Manifest, Stopped

DESCRIPTION = """\
Finds faster values for the knobs of a target's schedules, writes them into a file of schedules/by_cpu for this model of
CPU, then builds and tests the library. Or makes a kernel pack of them, for programs that are linked already. Values
that are not proven faster in measurements of their own stay as they are. Run it on an idle machine. Ctrl-C stops it;
the same command later goes on from there. docs/tuner.md says how it measures."""

COMPILERS = {"x86-64": "c++", "arm-64": "aarch64-linux-gnu-g++"}


def duration(text):
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m|h)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"'{text}' is no time: a number and s, m or h, as in 10m")
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]]


def parse():
    parser = argparse.ArgumentParser(prog="dev tune", description=DESCRIPTION,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--budget", type=duration, default=600.0, metavar="TIME",
        help="time for all, the rebuild included: 90s, 10m (default), 2h")
    add("--target", metavar="TARGET",
        help="which schedule file (default: the best that this machine's CPU runs); cuda and opencl: its device, of "
             "OpenCL the first of the first platform. Where that is a CPU bits are checked, and nothing is written: "
             "its times mean nothing")
    add("--base", action="store_true",
        help="write schedules/TARGET.json, the file for all models of CPU, instead of this model's own")
    add("--pack", type=check_name, metavar="NAME",
        help="make out/hnorm-pack-NAME.so of the new values, and leave schedules/ as it is: programs that are linked "
             "already load it (HNORM_PACK, hnorm_load_pack)")
    add("--kernel", action="append", metavar="NAME",
        help="only this kernel of generators/kernels.json; may be repeated")
    add("--shapes", default="standard", metavar="LIST",
        help="a list of bench/shapes/, or a file: a shape a line, as 32x64x56x56 (default: standard)")
    add("--type", action="append", choices=TYPES, help="only these element types; may be repeated")
    add("--dry-run", action="store_true", help="search and validate, but write and build nothing")
    add("--runner", type=shlex.split, default=[], metavar="COMMAND",
        help="runs programs for the target: 'ssh BOARD', 'adb shell', qemu-aarch64-static. Under an emulator bits are "
             "checked, and nothing is written: its times mean nothing")
    add("--model", action="store_true",
        help="without a machine: choose by the cycles and the number of the instructions that an emulator sees the "
             "kernels execute, as for --target arm-64. What a model cannot judge keeps its values; measurements replace"
             " all of them later")
    add("--cxx", metavar="COMPILER", help="the target's C++ compiler (default: by its architecture)")
    add("--seed", type=int, default=0, help="of the proposals (default: 0)")
    options = parser.parse_args()
    if options.base and options.pack:
        parser.error("--base and --pack: new values go to one place")
    kernels = manifest_of(options).kernels
    for name in options.kernel or ():
        if name not in kernels:
            parser.error(f"--kernel is {name}: generators/kernels.json has {', '.join(kernels)}")
    return options


def manifest_of(options):
    return Manifest(devices=options.target in known_targets(devices=True))


LEAST_SEARCH = 60  # seconds; with fewer nothing is found


def machine_of(options, schedule, builder):
    """What the file's times are of, and why they mean nothing, if they do not."""
    try:
        found = rows_of(builder.stubs(), ["machine"], [])[0]
    except BuildError as error:
        if not (schedule.device and error.output):
            raise
        raise ValueError(f"--target {schedule.target} needs such a device: {error.output}") from error
    if options.runner and Path(options.runner[0]).name.startswith("qemu"):
        meaningless = "an emulator's times mean nothing"
    elif found.get("is_cpu"):
        meaningless = "OpenCL has a CPU for its device here, whose times mean nothing for a GPU"
    else:
        meaningless = None
    if schedule.device:
        machine = {"gpu": found["device"]}
    else:
        machine = {"cpu": f"{schedule.target} by {shlex.join(options.runner)}" if options.runner else cpu_name(),
                   "cpu_model": found.get("cpu_model", "unknown"), "threads": found["threads"]}
    return machine | ({"notes": meaningless} if meaningless else {}), meaningless


def tune(options, started):
    manifest = manifest_of(options)
    schedule = Schedule.of_target(options.target or best_target(manifest), manifest)
    architecture = schedule.data["halide_arch"]
    cross = architecture != "x86-64"
    compiler = options.cxx or COMPILERS[architecture]
    if options.model:
        from .model.session import tune as tune_by_model
        return tune_by_model(schedule, options, compiler, started)
    if cross and not options.runner:
        raise ValueError(f"target {schedule.target} does not run here: --runner names what runs its programs")
    folder = ROOT / "out/tune" / schedule.target
    held = lock(folder)
    progress = Progress(started, started + options.budget)
    if path := restore(folder):
        progress.warn(f"an earlier run was ended while its new values were being proven: {path.name} is again what it "
                      "was before")
        schedule = Schedule.of_target(schedule.target, manifest)
    problems = schedule.problems()
    if problems:
        raise ValueError(f"{schedule.path(schedule.target)}: " + "; ".join(problems))
    build = Path(os.environ.get("HNORM_BUILD", ROOT / "build/release"))
    toolchain = Toolchain(compiler, ["-static"] if cross else [], options.runner)
    jobs = len(os.sched_getaffinity(0))
    builder = builder_of(schedule, folder, build / "bin/hnorm_generators", halide_include(), toolchain, jobs)
    progress.note(f"{schedule.target}, until {time.strftime('%H:%M:%S', time.localtime(progress.deadline))}; "
                  f"what is made on the way: {folder.relative_to(ROOT)}")
    conditions = Conditions(toolchain.runner if toolchain.remote else ())
    conditions.say(progress)
    builder.sweep()
    try:
        builder.library()
        machine, meaningless = machine_of(options, schedule, builder)
        to = destination_of(options, schedule, machine.get("cpu_model"))
        builder.schedule = to.schedule
        if problems := to.schedule.problems():
            raise ValueError(f"{to.path}: " + "; ".join(problems))
        if meaningless:
            progress.warn(f"{meaningless}: {to.writes} will be left alone")
        proof = to.proof(proof_of(build, schedule, folder, toolchain))
        search(options, to, builder, proof, (machine, meaningless, conditions), progress)
    finally:
        builder.close()
        progress.close()
        held.close()


def search(options, to, builder, proof, found, progress):
    """found: of the machine, why its times mean nothing if they do not, and its conditions."""
    # Here, since they need what ./dev installs for the tuner: --help does without.
    from .session import Session

    schedule, folder = to.schedule, builder.folder
    manifest, (machine, meaningless, conditions) = schedule.manifest, found
    writes = not options.dry_run and not meaningless
    if writes and to.problem():
        raise ValueError(to.problem())
    others = [other for target in known_targets(manifest.devices) for other in Schedule.all_of(target, manifest)
              if (other.target, other.cpus) != (schedule.target, schedule.cpus)]

    def rebuild(changed=CHANGED_KERNELS):
        return proof.seconds(builder.jobs, changed) if writes else 0

    if progress.deadline - rebuild() - time.time() < LEAST_SEARCH:
        passed = time.time() - progress.started
        raise ValueError(f"--budget {options.budget:.0f}s leaves no time to search: {passed:.0f} s have passed, and "
                         f"building the library with the new values takes about {rebuild():.0f} s. Give it more, or "
                         "run ./dev build first")
    lines = read_shapes(named_list(options.shapes))
    session = Session(schedule, builder, rows(lines, None, options.type, usual_ops=TUNED_OPS),
                      set(rows(lines, None, options.type)), options.kernel, folder / "journal.log", machine,
                      conditions, progress.deadline, rebuild, progress, options.seed, others)
    try:
        session.run_search()
        accepted, compared = session.final(session.validate())
    finally:
        progress.summary(session.failures.new, session.given_up)
    draw(session, compared, folder, progress)
    if not accepted:
        progress.note(f"no values are proven faster: {to.unchanged}")
        return
    command = shlex.join(["./dev", "tune", *sys.argv[1:]])
    new = schedule.with_points({slot: point for slot, (point, _) in accepted.items()})
    new.data["provenance"] = provenance(session, accepted, compared, command, options.shapes)
    patiently, kept = session.measuring.patiently, folder / f"{to.path.stem}.json"
    if writes:
        to.give(new, accepted, builder, proof, progress, patiently)
        return
    patiently(lambda: write(kept, to.text(new)))
    progress.note(f"{meaningless or '--dry-run'}: {to.writes} is left alone, what would be written: "
                  f"{kept.relative_to(ROOT)}")


def draw(session, compared, folder, progress):
    """A picture that cannot be drawn takes nothing away."""
    from .picture import picture

    try:
        path = picture(session, compared, folder / "picture.png")
        progress.note(f"how the run went: {path.relative_to(ROOT)}")
    except OSError as error:
        progress.warn(f"the picture of the run could not be written: {error}")


def ended(*_):
    """As Ctrl-C does: by a system that goes down, or a terminal that is closed."""
    raise KeyboardInterrupt


def main():
    started = float(os.environ.get("HNORM_TUNE_STARTED", time.time()))
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # cmake and ninja of .venv
    options = parse()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, ended)
    try:
        tune(options, started)
    except KeyboardInterrupt:
        end_all()
        print("\ntune: stopped; the same command goes on from here", file=sys.stderr)
        return 130
    except Outside as error:
        print(f"tune: {error}. What was found so far is kept: the same command goes on from here", file=sys.stderr)
        return 1
    except (BuildError, RowError, Stopped, ValueError, OSError) as error:
        print(f"tune: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
