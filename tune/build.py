"""Compiles kernels with given knobs, and links them with the runner and a dispatch table of the tuner's own."""
import hashlib
import json
import os
import shlex
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .space import ROOT

BASE = "base"


class BuildError(Exception):
    output = ""  # of a runner that failed, its own words


def run(command, **options):
    try:
        result = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    except subprocess.TimeoutExpired as error:
        raise BuildError(f"{shlex.join(map(str, command))}\ntook more than {error.timeout} seconds") from error
    if result.returncode:
        output = (result.stderr or result.stdout).strip()
        raise BuildError(f"{shlex.join(map(str, command))}\nfailed with {result.returncode}:\n{output[-2000:]}")
    return result.stdout


class Toolchain:
    """How programs for the target are made and run. `runner`: the command before a program's path."""

    def __init__(self, cxx="c++", flags=(), runner=()):
        self.cxx, self.flags, self.runner = cxx, list(flags), list(runner)
        self.remote = bool(self.runner) and Path(self.runner[0]).name in ("ssh", "adb")

    def place(self, program):
        """Brings a program to where the runner finds it, and returns the command that runs it."""
        if not self.remote:
            return [*self.runner, str(program)]
        there = f"/tmp/{program.name}"
        if Path(self.runner[0]).name == "adb":
            there = f"/data/local/tmp/{program.name}"
            run([self.runner[0], "push", program, there])
            run([*self.runner, f"chmod +x {there}"])
        else:
            with open(program, "rb") as file:
                subprocess.run([*self.runner, f"cat > {there} && chmod +x {there}"], stdin=file, check=True)
        return [*self.runner, there]


class Builder:
    """A point is {knob: value} or, for the bench, other parameters of the generators. Everything it makes is kept in
    `folder` by content: what was compiled once is not compiled again."""

    def __init__(self, schedule, folder, generators, halide_include, toolchain, jobs, library=None):
        """library: a folder of the build with the kernels of the schedule file as it is; they are not compiled."""
        self.schedule, self.manifest = schedule, schedule.manifest
        self.folder, self.generators, self.toolchain, self.jobs = folder, Path(generators), toolchain, jobs
        self.halide_include, self.library_objects = halide_include, library
        (folder / "objects").mkdir(parents=True, exist_ok=True)
        stat = self.generators.stat()
        self.version = f"{stat.st_size} {stat.st_mtime_ns} {self.halide_target()}"
        self.programs = 0
        self.includes, self.runner_options = [ROOT / "runtime/src"], []
        self.group_points = {}  # of kernels without knobs, {slot: point}
        self.patience = 600  # seconds of a kernel's compilation

    # ---- kernels

    def halide_target(self):
        return "-".join([self.schedule.halide_target, *self.manifest.features])

    def symbol(self, slot, point):
        if self.library_objects and point == self.schedule.point(slot):
            target = self.schedule.target.replace("-", "_")
            return f"hnorm_kernel_{slot.kernel}_{slot.planes}_{slot.type}_{target}"
        key = hashlib.sha256(json.dumps([self.version, str(slot), sorted(point.items())]).encode()).hexdigest()[:12]
        return f"tuned_{slot.kernel}_{slot.planes}_{slot.type}_{key}"

    def compile(self, kernels):
        """kernels: (slot, point) pairs. Returns {pair's symbol: BuildError} of those that do not compile."""
        todo = {self.symbol(slot, point): (slot, point) for slot, point in kernels}
        todo = {symbol: kernel for symbol, kernel in todo.items() if not self._object(symbol).exists()}
        failures = {}
        with ThreadPoolExecutor(self.jobs) as pool:
            for symbol, error in zip(todo, pool.map(lambda item: self._compile(*item), todo.items())):
                if error:
                    failures[symbol] = error
        return failures

    def _compile(self, symbol, kernel):
        slot, point = kernel
        entry = self._entry(slot)
        parameters = self._of_slot(slot) | entry["parameters"] | point
        plugin = []
        if "autoscheduler" in point:
            plugin = ["-p", self.halide_include.parent / f"lib64/libautoschedule_{point['autoscheduler'].lower()}.so"]
        with tempfile.TemporaryDirectory(dir=self.folder) as scratch:
            try:
                run([
                    self.generators, *plugin, "-g", entry["generator"], "-f", symbol, "-o", scratch, "-e", "object",
                    f"target={self.halide_target()}",
                    *(f"{name}={value}" for name, value in parameters.items()),
                ], timeout=self.patience)
                self._check(Path(scratch) / f"{symbol}.o")
            except BuildError as error:
                return error
            os.replace(Path(scratch) / f"{symbol}.o", self._object(symbol))
        return None

    def _check(self, object_):
        """Raises BuildError where an object that was compiled does not do."""

    def _of_slot(self, slot):
        return {"planes": slot.planes, "element": slot.type}

    def _object(self, symbol):
        if symbol.startswith("hnorm_kernel_"):
            return self.library_objects / f"{symbol}.o"
        return self.folder / "objects" / f"{symbol}.o"

    def halide_runtime(self):
        name, features = self._runtime()
        path = self._object(name)
        if not path.exists():
            least = "-".join([self.schedule.data["halide_arch"], "linux", *features])
            run([self.generators, "-r", name, "-e", "object", "-o", path.parent, f"target={least}"])
        return path

    def _runtime(self):
        return "halide_runtime", []

    # ---- programs

    def library(self):
        """Builds the runner without kernels."""
        build = self.folder / "runner"
        arguments = ["cmake", "-G", "Ninja", "-S", ROOT / "tune/runner", "-B", build, "-D", "CMAKE_BUILD_TYPE=None",
                     "-D", f"HNORM_HALIDE_INCLUDE_DIR={self.halide_include}", "-D",
                     f"CMAKE_CXX_COMPILER={self.toolchain.cxx}", *self.runner_options]
        run(arguments)
        run(["cmake", "--build", build])
        self.archive = build / "libhnorm_tune_runner.a"

    def program(self, rows, **dispatch):
        """Links a runner whose table has the rows {name: {slot: point}}, the first of them base; returns its command.
        dispatch: in place of the schedule file's values."""
        rows = {name: points | self.group_points for name, points in rows.items()}
        symbols = self._symbols(rows)
        return self._link(symbols, self._objects(symbols), dispatch)

    def _symbols(self, rows):
        return {name: {slot: self.symbol(slot, point) for slot, point in points.items()}
                for name, points in rows.items()}

    def _objects(self, symbols):
        return sorted({self._object(symbol) for row in symbols.values() for symbol in row.values()})

    def probe(self, **dispatch):
        """Links a runner that says which kernels a call takes."""
        slots = [*self.manifest.slots(), *self.group_points]
        names = "\n".join(f'constexpr char slot_{i}[] = "{slot}";' for i, slot in enumerate(slots))
        probes = {slot: f"hnorm::tune::Probe<hnorm::detail::{self._entry(slot)['signature']}, slot_{i}>::call"
                  for i, slot in enumerate(slots)}
        return self._link({BASE: probes}, [], dispatch, f'#include "{ROOT}/tune/runner/probe.h"\n{names}', "probe")

    def _entry(self, slot):
        return self.manifest.kernels[slot.kernel]

    def _link(self, symbols, objects, dispatch, prelude="", name=None):
        self.programs += 1
        program = self.folder / f"runner_{os.getpid()}_{name or self.programs % 2}"
        self._link_to(program, symbols, [self.archive, *objects], dispatch=dispatch, prelude=prelude)
        return self.toolchain.place(program)

    def shared_library(self, path, rows):
        """As program(), for ctypes: bench/engine/shared.cpp's functions."""
        symbols = self._symbols(rows)
        archive = ["-Wl,--whole-archive", self.archive, "-Wl,--no-whole-archive"]
        self._link_to(path, symbols, [*archive, *self._objects(symbols)],
                      ["-shared", "-fPIC", f"-Wl,--version-script={ROOT}/tune/runner/exported.map"])
        return path

    def _link_to(self, path, symbols, objects, flags=(), dispatch=(), prelude=""):
        """symbols: the table's rows, {name: {slot: what C++ calls the kernel}}"""
        source = path.with_suffix(".cpp")
        self._write_table(source, symbols, dict(dispatch), prelude)
        run([self.toolchain.cxx, *self.toolchain.flags, "-std=c++17", "-O0", *flags,
             *(f"-I{folder}" for folder in self.includes), "-isystem", self.halide_include, "-o", path, source,
             *objects, self.halide_runtime(), "-lpthread", "-ldl", "-lm"])
        source.unlink()

    def _write_table(self, source, symbols, dispatch, prelude):
        """By the script that writes the library's."""
        script, schedule = source.with_suffix(".cmake"), source.with_suffix(".json")
        schedule.write_text(json.dumps(self.schedule.data))
        overrides = " ".join(f"{name}={value}" for name, value in dispatch.items())
        script.write_text("\n".join([
            f"set(schedule_file [[{schedule}]])", f"set(prelude [==[{prelude}]==])",
            f"set(dispatch_overrides {overrides})",
            *(f"set({name} {value})" for name, value in self._table_of(" ".join(symbols)).items()),
            *(f"hnorm_add_symbol([[{self.prefix}]] {slot.kernel} {slot.name} {row} [[{symbol}]])"
              for row, kernels in symbols.items() for slot, symbol in kernels.items()),
        ]))
        run(["cmake", "-D", f"TABLE={script}", "-D", f"OUT={source}", "-P", ROOT / "cmake/KernelTable.cmake"])
        script.unlink()
        schedule.unlink()

    prefix = ""  # of the manifest's part, as cmake/Manifest.cmake has it

    def _table_of(self, rows):
        return {"rows": rows}


def rows_of(command, what, cases):
    """Runs a runner; returns its lines of JSON."""
    output = subprocess.run([*command, *map(str, what)], input="\n".join(cases) + "\n", capture_output=True, text=True)
    if output.returncode:
        error = BuildError(f"{shlex.join(command)} {what[0]} failed with {output.returncode}: {output.stderr.strip()}")
        error.output = output.stderr.strip().removeprefix("runner: ")
        raise error
    return [json.loads(line) for line in output.stdout.splitlines()]
