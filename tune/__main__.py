"""python -m tune: see `./dev tune --help`. ./dev sets it up: the generators built, this folder's requirements installed."""
import argparse
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

from .build import BuildError, Builder, Toolchain, rows_of, run
from .machine import best_target, cpu_name, halide_include
from .progress import Progress
from .rows import MAIN_OPS, OTHER_OPS, TYPES, RowError, named_list, read_shapes, rows
from .schedule import Schedule, known_targets
from .space import ROOT, Manifest, Stopped

DESCRIPTION = """\
Finds faster values for the knobs of a target's schedules and writes schedules/TARGET.json, then builds and tests the
library. Values that are not proven faster in measurements of their own stay as they are. Run it on an idle machine.
Ctrl-C stops it; the same command later goes on from there. docs/tuning.md says how it measures."""

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
    add("--target", metavar="TARGET", help="which schedule file (default: the best that this machine runs)")
    add("--kernel", action="append", metavar="NAME", help="only this kernel of generators/kernels.json; may be repeated")
    add("--shapes", default="standard", metavar="LIST",
        help="a list of bench/shapes/, or a file: a shape a line, as 32x64x56x56 (default: standard)")
    add("--type", action="append", choices=TYPES, help="only these element types; may be repeated")
    add("--dry-run", action="store_true", help="search and validate, but write and build nothing")
    add("--runner", type=shlex.split, default=[], metavar="COMMAND",
        help="runs programs for the target: 'ssh BOARD', 'adb shell', qemu-aarch64-static. Under an emulator bits are "
             "checked, and nothing is written: its times mean nothing")
    add("--cxx", metavar="COMPILER", help="the target's C++ compiler (default: by its architecture)")
    add("--seed", type=int, default=0, help="of the proposals (default: 0)")
    options = parser.parse_args()
    kernels = Manifest().kernels
    for name in options.kernel or ():
        if name not in kernels:
            parser.error(f"--kernel is {name}: generators/kernels.json has {', '.join(kernels)}")
    return options


CHANGED_KERNELS = 40  # about as many have new values
SECONDS_OF_KERNEL = 1.5  # of its compilation, on average
REBUILT = ("hnorm", "test_digests")
LEAST_SEARCH = 60  # seconds; with fewer nothing is found


class Proof:
    """The library with a new schedule file, and every kernel's results held to the digests of the order of summation. In the
    build that ./dev uses; where its library is not for the target, not there or older than the generators, that would be
    every target's kernels: in a build of the target alone, then."""

    def __init__(self, build, schedule, folder, manifest, toolchain, cross):
        self.generators, self.schedule, self.toolchain = build / "bin/hnorm_generators", schedule, toolchain
        self.cross = cross
        self.own = cross or not self._current(build)
        self.build = folder / "build" if self.own else build
        self.kernels = CHANGED_KERNELS if self._current(self.build) else len(manifest.slots())

    def _current(self, build):
        library = build / "runtime/libhnorm.a"
        return library.exists() and library.stat().st_mtime > self.generators.stat().st_mtime

    def _configure(self):
        unwanted = ("STATE", "GPU", "TOOLS", "BENCH", "EXAMPLES")
        run(["cmake", "--preset", "arm-64" if self.cross else "release", "-S", ROOT, "-B", self.build,
             f"-DHNORM_TARGETS={self.schedule.target}", "-DHNORM_DEVICES=", f"-DHNORM_GENERATORS={self.generators}",
             *(f"-DHNORM_BUILD_{part}=OFF" for part in unwanted), *(["-DCMAKE_EXE_LINKER_FLAGS=-static"] if self.cross else [])])

    def give(self, progress):
        target = self.schedule.target
        progress.note(f"building the library with the new {target}.json")
        if self.own:
            self._configure()
        log = ROOT / "out/tune" / target / "build.log"
        with open(log, "w") as file:
            command = ["cmake", "--build", self.build, "--target", *REBUILT]
            if subprocess.run(command, stdout=file, stderr=subprocess.STDOUT).returncode:
                raise BuildError(f"the build failed: {log}")
        progress.note("comparing every kernel's results with the digests")
        command = [*self.toolchain.place(self.build / "bin/test_digests"), "--target", target]
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode:
            raise BuildError(f"the results are not those of the digests:\n{(result.stdout + result.stderr)[-2000:]}")
        progress.note("done: the library is built, and its bits are what they were" if not self.own else
                      f"done: {target}'s kernels are built, and their bits are what they were; ./dev build makes the library")


def tune(options, started):
    manifest = Manifest()
    schedule = Schedule.of_target(options.target or best_target(manifest), manifest)
    emulated = bool(options.runner) and Path(options.runner[0]).name.startswith("qemu")
    architecture = schedule.data["halide_arch"]
    cross = architecture != "x86-64"
    if cross and not options.runner:
        raise ValueError(f"target {schedule.target} does not run here: --runner names what runs its programs")
    problems = schedule.problems()
    if problems:
        raise ValueError(f"{schedule.path(schedule.target)}: " + "; ".join(problems))

    build = Path(os.environ.get("HNORM_BUILD", ROOT / "build/release"))
    jobs = len(os.sched_getaffinity(0))
    writes = not options.dry_run and not emulated
    deadline = started + options.budget
    progress = Progress(started, deadline)
    lines = read_shapes(named_list(options.shapes))
    toolchain = Toolchain(options.cxx or COMPILERS[architecture], ["-static"] if cross else [], options.runner)
    folder = ROOT / "out/tune" / schedule.target
    builder = Builder(schedule, folder, build / "bin/hnorm_generators", halide_include(), toolchain, jobs)
    progress.note(f"{schedule.target}, until {time.strftime('%H:%M:%S', time.localtime(deadline))}; "
                  f"what is made on the way: {folder.relative_to(ROOT)}")
    builder.library()
    threads = rows_of(builder.probe(), ["machine"], [])[0]["threads"]
    machine = {"cpu": f"{schedule.target} by {shlex.join(options.runner)}" if options.runner else cpu_name(),
               "threads": threads}

    others = [Schedule.of_target(target, manifest) for target in known_targets() if target != schedule.target]
    # Here, since they need what ./dev installs for the tuner: --help does without.
    from .search import open_storage
    from .session import Session

    proof = Proof(build, schedule, folder, manifest, toolchain, cross)
    seconds = 30 + SECONDS_OF_KERNEL * proof.kernels / jobs if writes else 0
    if deadline - seconds - time.time() < LEAST_SEARCH:
        raise ValueError(f"--budget {options.budget:.0f}s leaves no time to search: {time.time() - started:.0f} s have passed, and "
                         f"building the library with the new values takes about {seconds:.0f} s. Give it more, or run "
                         "./dev build first")
    session = Session(schedule, builder, rows(lines, MAIN_OPS + OTHER_OPS, options.type or manifest.types), options.kernel,
                      open_storage(folder / "journal.log"), machine, deadline,
                      seconds, progress, options.seed, others)
    try:
        session.run_search()
        accepted, compared = session.final(session.validate())
        if not accepted:
            progress.note("no values are proven faster: the file stays as it is")
            return
        command = shlex.join(["./dev", "tune", *sys.argv[1:]])
        new = schedule.with_points({slot: point for slot, (point, _) in accepted.items()})
        new.data["provenance"] = session.provenance(accepted, compared, command, options.shapes)
        path = schedule.path(schedule.target)
        if not writes:
            path = folder / path.name
            why = "an emulator's times mean nothing" if emulated else "--dry-run"
            progress.note(f"{why}: schedules/ is left alone, what would be written: {path.relative_to(ROOT)}")
        before = path.read_text() if path.exists() else ""
        path.write_text(new.text())
        progress.note(f"{len(accepted)} kernels have new values in {path.relative_to(ROOT)}")
        if writes:
            try:
                proof.give(progress)
            except BuildError:
                path.write_text(before)
                raise
    finally:
        progress.close()


def main():
    started = float(os.environ.get("HNORM_TUNE_STARTED", time.time()))
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # cmake and ninja of .venv
    options = parse()
    try:
        tune(options, started)
    except KeyboardInterrupt:
        print("\ntune: stopped; the same command goes on from here", file=sys.stderr)
        return 130
    except (BuildError, RowError, Stopped, ValueError) as error:
        print(f"tune: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
